# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is promised about an artifact and about the programs that read it."""
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import models
import tools

LIBRARY_BYTES = 3_000_000  # of the runtime, stripped


def digests(folder):
    """{file name: SHA-256} of all files below the folder."""
    found = {}
    for path in glob.glob(os.path.join(folder, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def compile_into(folder, *options):
    tools.succeed("grokc", os.path.join(tools.INPUTS, "b4x2"), "-o", folder,
                  f"--weights-from={tools.INPUTS}/b4x2/int8", *options)


@tools.needs_compiler
class SameBytes(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name

    def test_two_compiles(self):
        """Also with other thread counts, another folder, and kernels from the cache."""
        first = os.path.join(self.folder, "first")
        compile_into(first, "--kernel-cache=off", "--threads=1")
        expected = digests(first)
        self.assertEqual(len(expected), 2, expected)
        cache = os.path.join(self.folder, "kernels")
        for number, options in enumerate((["--kernel-cache=off", "--threads=2"],
                                          [f"--kernel-cache={cache}"],
                                          [f"--kernel-cache={cache}"])):
            with self.subTest(options):
                again = os.path.join(self.folder, f"deeper-{number}", "again")
                os.mkdir(os.path.dirname(again))
                compile_into(again, *options)
                self.assertEqual(digests(again), expected)

    def test_killed_compile_leaves_nothing_under_its_name(self):
        out = os.path.join(self.folder, "out")
        command = [tools.tool("grokc"), tools.NANO, "-o", out, "--kernel-cache=off"]
        for seconds in (0.05, 0.2, 0.5, 1, 2):
            with self.subTest(seconds):
                running = subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL)
                time.sleep(seconds)
                running.send_signal(signal.SIGKILL)
                if running.wait() == 0:
                    break  # it was done before
                self.assertFalse(os.path.exists(os.path.join(out, "model.plan")))
                shutil.rmtree(out, ignore_errors=True)


class Programs(unittest.TestCase):
    def test_no_compiler_inside_the_runtime(self):
        for path in [tools.tool(name) for name in ("grok-run", "grok-eval", "grok-bench")] + [
                tools.RUNTIME]:
            with self.subTest(path):
                needed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True,
                                        check=True).stdout
                self.assertNotRegex(needed, r"(?i)mlir|llvm|lld")

    def test_size_of_the_library(self):
        with open(os.path.join(tools.BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
            if "CMAKE_BUILD_TYPE:STRING=Release\n" not in cache:
                self.skipTest("only the release build has a size to promise")
        with tempfile.TemporaryDirectory() as folder:
            stripped = os.path.join(folder, "stripped.so")
            subprocess.run(["strip", "-o", stripped, tools.RUNTIME], check=True)
            self.assertLess(os.path.getsize(stripped), LIBRARY_BYTES)

    def test_library_shows_its_interface_alone(self):
        symbols = subprocess.run(["nm", "-D", "--defined-only", tools.RUNTIME],
                                 stdout=subprocess.PIPE, text=True, check=True).stdout
        names = [line.split()[-1] for line in symbols.splitlines()]
        self.assertTrue(names)
        self.assertEqual([name for name in names if not name.startswith("grok")], [])


@tools.needs_compiler
class CodeInside(unittest.TestCase):
    def test_kernels_import_nothing_and_are_not_writable(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "kernels")
            tools.succeed("grok-plan", "extract", models.nano(), out)
            objects = glob.glob(os.path.join(out, "**", "*.so"), recursive=True)
            self.assertGreaterEqual(len(objects), 3, os.listdir(out))
            for path in objects:
                with self.subTest(path):
                    undefined = subprocess.run(["nm", "-D", "--undefined-only", path], text=True,
                                               stdout=subprocess.PIPE, check=True).stdout
                    self.assertEqual(undefined, "")
                    segments = subprocess.run(["readelf", "-lWd", path], text=True,
                                              stdout=subprocess.PIPE, check=True).stdout
                    self.assertNotIn("NEEDED", segments)
                    self.assertIsNone(re.search(r"LOAD.*\bRWE\b", segments))


if __name__ == "__main__":
    unittest.main()
