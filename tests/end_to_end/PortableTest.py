# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runtime configures and builds as if there were no MLIR on the machine, and
what the preset `portable` installs runs from another folder.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

import models
import tools

FOLDER = os.path.join(tools.SCRATCH, "portable")


def preset_arguments():
    """The preset's cache entries; its folder belongs to whoever builds it by hand."""
    return ["cmake", "--preset", "portable", "-B", FOLDER, "-DCMAKE_DISABLE_FIND_PACKAGE_MLIR=ON",
            "-DCMAKE_DISABLE_FIND_PACKAGE_LLVM=ON", "-DCMAKE_DISABLE_FIND_PACKAGE_LLD=ON"]


@tools.needs_compiler  # for the model to run; a runtime-only build has shown the rest
class Portable(unittest.TestCase):
    def test_runtime_without_mlir_carried_elsewhere(self):
        def do(*command):
            done = subprocess.run(command, cwd=tools.ROOT, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout[-4000:])

        do(*preset_arguments())
        do("cmake", "--build", FOLDER)
        with open(os.path.join(FOLDER, "build.ninja"), encoding="utf-8") as file:
            self.assertNotRegex(file.read(), r"/usr/(lib|include)/(llvm|mlir)\S*\.(h|so|a)\b")

        with tempfile.TemporaryDirectory() as folder:
            installed = os.path.join(folder, "first")
            do("cmake", "--install", FOLDER, "--prefix", installed, "--strip")
            do("script/check-portable", installed)
            carried = os.path.join(folder, "second")
            shutil.move(installed, carried)

            example = os.path.join(folder, "example")
            do("cmake", "-G", "Ninja", "-S", "examples/c", "-B", example,
               f"-DCMAKE_PREFIX_PATH={carried}")
            do("cmake", "--build", example)
            do(os.path.join(example, "examples", "generate-c"), models.nano(), "3", "1917", "667")

            text = subprocess.run([os.path.join(carried, "bin", "grok-run"), models.nano(),
                                   "--prompt", "Once upon a time", "--max-new-tokens", "5"],
                                  env={}, stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertTrue(text.strip())


if __name__ == "__main__":
    unittest.main()
