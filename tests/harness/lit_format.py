# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A lit format for RUN lines and for Python: each unittest case is one test.

A Python file XTest.py holds unittest classes; the case `test_y` of its class
`X` shows up, is filtered and is counted as `.../XTest.py/X.test_y`.
"""
import importlib.util
import os
import subprocess
import sys
import unittest

import lit.formats
import lit.Test

SUFFIX = "Test.py"
SECONDS_PER_CASE = 900  # a hang, not slowness, is what this ends


def case_names(path):
    """The cases of the file, `Class.test_name`, in order of definition."""
    module_name = "cases_of_" + os.path.basename(path)[: -len(".py")]
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(path))
    try:
        spec.loader.exec_module(module)
    except Exception:  # running the file will show the reason, as a failed test
        yield "cannot_be_imported"
        return
    finally:
        sys.path.pop(0)
    for name, member in vars(module).items():
        if isinstance(member, type) and issubclass(member, unittest.TestCase):
            for attribute in dir(member):
                if attribute.startswith("test_"):
                    yield f"{name}.{attribute}"


class RunLinesAndPython(lit.formats.ShTest):
    """RUN lines as ShTest; XTest.py files case by case."""

    def getTestsForPath(self, testSuite, path_in_suite, litConfig, localConfig):
        if not path_in_suite[-1].endswith(SUFFIX):
            yield from super().getTestsForPath(testSuite, path_in_suite, litConfig, localConfig)
            return
        for name in case_names(testSuite.getSourcePath(path_in_suite)):
            yield lit.Test.Test(testSuite, path_in_suite + (name,), localConfig)

    def getTestsInDirectory(self, testSuite, path_in_suite, litConfig, localConfig):
        folder = testSuite.getSourcePath(path_in_suite)
        for name in sorted(os.listdir(folder)):
            if os.path.isfile(os.path.join(folder, name)):
                yield from self.getTestsForPath(testSuite, path_in_suite + (name,), litConfig,
                                                localConfig)

    def execute(self, test, litConfig):
        file, case = os.path.split(test.getSourcePath())
        if not file.endswith(SUFFIX):
            return super().execute(test, litConfig)
        if test.config.unsupported:
            return lit.Test.UNSUPPORTED, "the configuration of its folder leaves it out"
        try:
            run = subprocess.run([sys.executable, file, case], env=test.config.environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 errors="replace", timeout=SECONDS_PER_CASE, check=False)
        except subprocess.TimeoutExpired as expired:
            return lit.Test.TIMEOUT, f"{file} {case}: {expired}"
        output = f"{sys.executable} {file} {case}\n{run.stdout}"
        if run.returncode != 0:
            return lit.Test.FAIL, output
        return (lit.Test.UNSUPPORTED if "skipped=" in run.stdout else lit.Test.PASS), output
