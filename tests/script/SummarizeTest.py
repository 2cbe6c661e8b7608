# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""script/summarize counts every outcome and never takes silence for success."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import tools

SUMMARIZE = os.path.join(tools.ROOT, "script", "summarize")


def summarize(outcomes, suites=(), programs=()):
    """(last line, status) for lit results {test name: code} of a tree with these suites."""
    with tempfile.TemporaryDirectory() as folder:
        results = os.path.join(folder, "results.json")
        tests = [{"name": name, "code": code} for name, code in outcomes.items()]
        with open(results, "w", encoding="utf-8") as file:
            json.dump({"tests": tests}, file)
        for suite in suites:
            os.makedirs(os.path.join(folder, "tests", suite, "deeper"))
            with open(os.path.join(folder, "tests", suite, "deeper", "a.mlir"), "w") as file:
                file.write("// RUN: true\n")
        listed = os.path.join(folder, "programs.txt")
        with open(listed, "w", encoding="utf-8") as file:
            file.write("\n".join(programs))
        everything = [os.path.join(folder, "tests"), listed] if suites else []
        run = subprocess.run([sys.executable, SUMMARIZE, results, *everything],
                             stdout=subprocess.PIPE, text=True, check=False)
        return run.stdout.splitlines()[-1], run.returncode


class Summarize(unittest.TestCase):
    def test_success(self):
        self.assertEqual(
            summarize({"grokc :: passes/deeper/a.mlir": "PASS",
                       "grokc-unit :: ./PlanTest/Plan/opens": "PASS"},
                      suites=["passes"], programs=["PlanTest"]),
            ("2 passed, 0 failed", 0))

    def test_skipped_tests_are_named(self):
        self.assertEqual(summarize({"grokc :: a/b.test": "PASS", "grokc :: a/c.test": "UNSUPPORTED"}),
                         ("1 passed, 0 failed, 1 skipped", 0))

    def test_each_bad_outcome_fails(self):
        for code in ("FAIL", "XPASS", "TIMEOUT", "UNRESOLVED", "UNKNOWN"):
            with self.subTest(code):
                self.assertEqual(summarize({"grokc :: a/b.test": "PASS", "grokc :: a/c.test": code}),
                                 ("1 passed, 1 failed", 1))

    def test_no_test_at_all(self):
        self.assertEqual(summarize({}), ("0 passed, 1 failed", 1))

    def test_suite_that_ran_nothing(self):
        self.assertEqual(summarize({"grokc :: passes/deeper/a.mlir": "PASS"},
                                   suites=["dialects", "passes"]),
                         ("1 passed, 1 failed", 1))

    def test_program_that_ran_nothing(self):
        self.assertEqual(summarize({"grokc :: passes/deeper/a.mlir": "PASS"},
                                   suites=["passes"], programs=["PlanTest"]),
                         ("1 passed, 1 failed", 1))


if __name__ == "__main__":
    unittest.main()
