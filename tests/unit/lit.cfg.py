# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The GoogleTest programs of the build folder, each case counted as one test."""
import os
import sysconfig

import lit.formats

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(lit_config.params.get("build", os.path.join(root, "build")))
programs = os.path.join(build, "tests", "unit")

config.name = "grokc-unit"
config.test_source_root = programs
config.test_exec_root = programs
config.environment["ASAN_OPTIONS"] = "detect_container_overflow=0:allow_user_poisoning=0"
config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
# ptxas of the Python package serves where the machine has none of its own.
assembler = os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "cuda_nvcc", "bin")
config.environment["PATH"] = os.pathsep.join([config.environment["PATH"], assembler])
# Toy plans have no code that a GPU of this machine could run.
config.environment["GROK_CUDA_LIBRARY"] = ""

with open(os.path.join(programs, "programs.txt")) as listed:
    names = set(listed.read().split())
config.test_format = lit.formats.GoogleTest(".", "")
config.test_format.test_suffixes = names
