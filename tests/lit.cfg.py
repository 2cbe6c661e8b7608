# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How lit runs this tree: .mlir and .test files by their RUN lines, XTest.py
files by their unittest cases.

Parameter `build`: the build folder whose tools are tested (default: build/).
The GoogleTest programs have their own configuration in tests/unit/.
"""
import os
import sys
import sysconfig

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "harness"))
import lit_format

config.name = "grokc"
config.test_format = lit_format.RunLinesAndPython(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["harness", "inputs", "unit", "lit.cfg.py"]
config.test_source_root = os.path.dirname(__file__)

root = os.path.dirname(config.test_source_root)
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
llvm = "/usr/lib/llvm-22/bin"
config.test_exec_root = os.path.join(build, "tests", "lit")

# ptxas of the Python package serves where the machine has none of its own.
assembler = os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "cuda_nvcc", "bin")
path = [os.path.join(build, "bin"), llvm, config.environment["PATH"], assembler]
config.environment.update(
    PATH=os.pathsep.join(path),
    PYTHONPATH=os.path.join(config.test_source_root, "harness"),
    # A compiled model must not depend on who ran the tests before.
    XDG_CACHE_HOME=os.path.join(config.test_exec_root, "cache"),
    GROKC_ROOT=root,
    GROKC_BUILD=build,
    # Containers and arenas cross the border to MLIR, which is built without sanitizers.
    ASAN_OPTIONS="detect_container_overflow=0:allow_user_poisoning=0",
    UBSAN_OPTIONS="print_stacktrace=1",
    # A GPU of this machine must not change what a test sees.
    GROK_CUDA_LIBRARY="",
)

# %{x} names cannot be mistaken for part of another word, as %root could.
config.substitutions += [
    ("%{python}", sys.executable),
    ("%{root}", root),
    ("%{build}", build),
    ("%{inputs}", os.path.join(config.test_source_root, "inputs")),
    ("%{nano}", os.path.join(root, "examples", "grok-nano")),
]

os.environ.update(GROKC_ROOT=root, GROKC_BUILD=build)
if lit_config.params.get("full"):
    config.environment["GROKC_FULL"] = os.environ["GROKC_FULL"] = "1"
import tools

if tools.has_compiler():
    config.available_features.add("compiler")


def cpu_flags():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("flags"):
                return set(line.split(":")[1].split())
    return set()


# What a test may ask of the machine, by the CPUID flags that it stands for.
for feature, flags in {
    "host-avx2": {"avx2", "fma"},
    "host-avx512": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "host-avx512vnni": {"avx512f", "avx512_vnni"},
    "host-amx": {"amx_tile", "amx_int8"},
}.items():
    if flags <= cpu_flags():
        config.available_features.add(feature)
