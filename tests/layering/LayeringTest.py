# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The layering check finds each kind of violation and accepts what is allowed."""
import os
import tempfile
import unittest

import layering

HEAD = "// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception\n"


def found_in(files):
    """Violations of a tree with these files (path -> text after the licence)."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(HEAD + text)
        return list(layering.violations(root))


class Forbidden(unittest.TestCase):
    def one(self, path, text, expected):
        found = found_in({path: text})
        self.assertEqual(len(found), 1, found)
        self.assertIn(expected, found[0])
        self.assertIn(path, found[0])

    def test_runtime_includes_mlir(self):
        self.one("runtime/plan/A.cpp", '#include "mlir/IR/Value.h"\n', "may not include mlir")

    def test_runtime_includes_compiler(self):
        self.one("runtime/plan/A.h", '#include "compiler/cpu/B.h"\n', "may not include compiler")

    def test_reader_includes_mlir(self):
        self.one("frontends/checkpoint/xai/A.cpp", "#include <llvm/ADT/X.h>\n", "may not include")

    def test_graph_includes_passes(self):
        self.one("frontends/graph/A.cpp", '#include "passes/fusion/B.h"\n', "may not include")

    def test_dialect_includes_pass(self):
        self.one("dialects/grok/A.cpp", '#include "passes/fusion/B.h"\n', "may not include")

    def test_dialect_definition_includes_runtime(self):
        self.one("dialects/grok/A.td", 'include "runtime/plan/B.td"\n', "may not include")

    def test_pass_includes_another_decision(self):
        self.one("passes/fusion/A.cpp", '#include "passes/memory/B.h"\n', "passes/fusion may not")

    def test_compiler_includes_runtime_inside(self):
        self.one("compiler/cpu/A.cpp", '#include "runtime/session/Session.h"\n', "may not include")

    def test_pass_reads_files(self):
        self.one("passes/fusion/A.cpp", "#include <fstream>\n", "reads no files")

    def test_pattern_in_compiler(self):
        self.one("compiler/A.cpp", "struct P : mlir::OpRewritePattern<Op> {};\n", "passes/")

    def test_main_in_library(self):
        self.one("runtime/plan/A.cpp", "int main() { return 0; }\n", "main() belongs")

    def test_command_line_in_library(self):
        self.one("compiler/A.cpp", "static llvm::cl::opt<int> x;\n", "options travel")

    def test_pass_without_test(self):
        self.one("passes/fusion/Fuse.cpp", "void runOnOperation() {}\n", "without its test")

    def test_open_end(self):
        self.one("runtime/A.cpp", "// TO" "DO: later\n", "open end")

    def test_path_of_one_machine(self):
        self.one("docs/a.md", "see /wor" "k/main\n", "one machine")

    def test_registry(self):
        self.one("script/a", "# from pypi.or" "g\n", "registry")

    def test_name_that_says_nothing(self):
        self.one("runtime/utils/A.h", "\n", "does not name")

    def test_long_file(self):
        self.one("runtime/A.cpp", "\n" * 500, "split at")

    def test_missing_licence(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "CMakeLists.txt"), "w", encoding="utf-8") as file:
                file.write("project(x)\n")
            self.assertEqual(len(list(layering.violations(root))), 1)


class Allowed(unittest.TestCase):
    def test_a_clean_tree(self):
        self.assertEqual(found_in({
            "runtime/session/A.cpp": '#include "runtime/plan/B.h"\n#include <vector>\n',
            "frontends/graph/A.cpp": '#include "dialects/grok/G.h"\n#include "mlir/IR/V.h"\n',
            "passes/fusion/Fuse.cpp": '#include "passes/fusion/F.h"\nvoid runOnOperation();\n',
            "tests/passes/fusion/Fuse.mlir": "// RUN: grok-opt %s\n",
            "passes/memory/A.cpp": '#include "passes/analysis/Lifetimes.h"\n',
            "compiler/A.cpp": '#include "runtime/plan/KernelABI.h"\n',
            "compiler/verification/A.cpp": '#include "runtime/grok.h"\n',
            "tools/grokc/grokc.cpp": "int main() {}\n",
            "runtime/A.h": "// TO" "DO(#12): widen\n",
        }), [])


if __name__ == "__main__":
    unittest.main()
