# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Who may include what, and other rules that hold for every file of the tree.

usage: layering.py ROOT      prints one line per violation; exit status 1 if any
"""
import os
import re
import sys

SOURCE = (".cpp", ".h", ".c", ".td")
SCRIPTED = (".py", ".cmake", ".fbs", ".mlir", ".test", ".sh")
LICENCE = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
LONGEST_FILE = 500  # lines; style: aim at 250, split at 500

# Folder -> what its files may include, the most specific folder decides. `mlir`
# stands for MLIR, LLVM and lld headers. A folder may always include itself.
MAY_INCLUDE = {
    "frontends/checkpoint": [],
    "frontends/graph": ["frontends/checkpoint", "dialects/grok", "mlir"],
    "dialects": ["mlir"],
    "passes": ["dialects", "passes/analysis", "mlir"],
    "compiler": ["passes", "dialects", "frontends", "runtime/plan", "mlir"],
    # These two run compiled programs through the runtime's public C header.
    "compiler/calibration": ["compiler", "passes", "dialects", "frontends", "runtime/plan",
                             "runtime/grok.h", "mlir"],
    "compiler/verification": ["compiler", "passes", "dialects", "frontends", "runtime/plan",
                              "runtime/grok.h", "mlir"],
    # Shared with the run-time half of the emulator: offsets of its functions.
    "compiler/targets/nvidia/emulator": ["compiler", "runtime/device/emulated/EmulatorABI.h",
                                         "mlir"],
    "runtime": [],
}
# Below these, each subfolder is one thing of its own and includes itself only.
SEPARATE_SUBFOLDERS = ("passes",)
PROJECT_FOLDERS = ("frontends", "dialects", "passes", "compiler", "runtime", "tools", "tests")
MLIR_FOLDERS = ("mlir", "mlir-c", "llvm", "llvm-c", "lld", "clang")

# Text that a folder's files never contain: where, pattern, why.
NEVER = [
    ("passes", r"#include\s+<(fstream|filesystem|cstdio|iostream|chrono|ctime)>",
     "a pass reads no files, environment or clocks"),
    ("passes", r"\bgetenv\b|\bMemoryBuffer::getFile|openInputFile|openOutputFile",
     "a pass reads no files, environment or clocks"),
    ("dialects", r"#include\s+<(fstream|filesystem|cstdio|iostream)>", "a dialect reads no files"),
    ("compiler", r":\s*(public\s+)?(mlir::)?Op(Rewrite|Conversion)Pattern<",
     "rewrite patterns belong in passes/"),
]
LIBRARIES = ("frontends", "dialects", "passes", "compiler", "runtime")
NEVER += [(folder, r"\bint\s+main\s*\(", "main() belongs in tools/") for folder in LIBRARIES]
NEVER += [(folder, r"llvm/Support/CommandLine\.h|\bcl::opt<", "options travel in a struct")
          for folder in LIBRARIES]

# Brackets keep these patterns from matching their own definition.
EVERYWHERE = [
    (r"(?<![\w.-])/wor[k]/|(?<![\w-])shared[/](design|style|grok1|mlir|peers|goldens|models|probes)",
     "names a path that exists on one machine only"),
    (r"\b(deb\.debian\.or[g]|pypi\.or[g]|files\.pythonhosted\.or[g]|proxy\.golang\.or[g])",
     "names a package registry's host"),
    (r"\bTOD[O](?!\(#)|\bFIXM[E]\b|\bXX[X]\b", "an open end without an issue: TODO(#issue): what"),
]
EMPTY_NAMES = {"utils", "util", "common", "misc", "helpers", "helper"}
SKIPPED_FOLDERS = {".git", ".cache", ".venv", "__pycache__", "inputs", "ckpt-0"}


def files_of(root):
    """Paths of the project's text files, relative to root, in order."""
    for folder, subfolders, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        subfolders[:] = sorted(s for s in subfolders if s not in SKIPPED_FOLDERS
                               and not (relative == "." and s.startswith("build")))
        for name in sorted(names):
            yield os.path.normpath(os.path.join(relative, name))


def is_code(path):
    name = os.path.basename(path)
    return (name.endswith(SOURCE + SCRIPTED) or name == "CMakeLists.txt"
            or os.path.dirname(path) in ("script", ".ci") and "." not in name)


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def rule_for(path):
    """The most specific folder of MAY_INCLUDE that holds path, or None."""
    folders = [folder for folder in MAY_INCLUDE if inside(path, folder)]
    return max(folders, key=len) if folders else None


def home_of(path, rule):
    """What path may include as its own: its rule's folder, or one below it."""
    if rule in SEPARATE_SUBFOLDERS:
        return "/".join(path.split("/")[:rule.count("/") + 2])
    return rule


def check_includes(path, text):
    rule = rule_for(path)
    if rule is None or not path.endswith(SOURCE):
        return
    for match in re.finditer(r'^\s*(?:#\s*)?include\s+[<"]([^>"]+)[>"]', text, re.MULTILINE):
        included = match.group(1)
        top = included.split("/")[0]
        if top in MLIR_FOLDERS:
            allowed = "mlir" in MAY_INCLUDE[rule]
        elif top in PROJECT_FOLDERS:
            own = inside(included, home_of(path, rule))
            allowed = own or any(inside(included, other) for other in MAY_INCLUDE[rule])
        else:
            continue
        if not allowed:
            line = text.count("\n", 0, match.start(1)) + 1
            yield f"{path}:{line}: {home_of(path, rule)} may not include {included}"


def check_contents(path, text):
    rules = [(pattern, why) for folder, pattern, why in NEVER
             if inside(path, folder) and path.endswith(SOURCE)]
    rules += EVERYWHERE
    for pattern, why in rules:
        for match in re.finditer(pattern, text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}: '{match.group(0).strip()}': {why}"


def check_pass_has_test(root, path, text):
    if not re.match(r"passes/[^/]+/[^/]+\.cpp$", path) or "runOnOperation" not in text:
        return
    test = "tests/" + path[:-len(".cpp")] + ".mlir"
    if not os.path.exists(os.path.join(root, test)):
        yield f"{path}: a pass without its test {test}"


def check_form(path, text):
    lines = text.split("\n")
    if is_code(path) and not any(LICENCE in line for line in lines[:2]):
        yield f"{path}: the first line must be '{LICENCE}' in a comment"
    if path.endswith(SOURCE + (".py",)) and len(lines) > LONGEST_FILE:
        yield f"{path}: {len(lines)} lines; split at {LONGEST_FILE}"
    words = {os.path.splitext(part)[0].lower() for part in path.split("/")}
    for word in sorted(words & EMPTY_NAMES):
        yield f"{path}: '{word}' does not name what it does"


def violations(root):
    for path in files_of(root):
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue  # data, not text
        yield from check_includes(path, text)
        yield from check_contents(path, text)
        yield from check_pass_has_test(root, path, text)
        yield from check_form(path, text)


def main(root):
    found = list(violations(root))
    print("\n".join(found) if found else "no violation")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
