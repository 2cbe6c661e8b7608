# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A compile that was killed goes on where it stopped, and makes the same bytes."""
import glob
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

import tools

LAYERS = 24  # packing takes about a second, its journal grows about every 10 ms


def digests(folder):
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def reused(text):
    told = re.search(r"(\d+) of them in an interrupted run", text)
    return int(told.group(1)) if told else 0


@tools.needs_compiler
class Resume(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.model = os.path.join(self.folder, "model")
        os.mkdir(self.model)
        with open(os.path.join(tools.NANO, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config.update(num_layers=LAYERS, widening_factor=12, ffn_size=1536)
        with open(os.path.join(self.model, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.out = os.path.join(self.folder, "out")

    def arguments(self, out, weights):
        return [self.model, "-o", out, "--weights-from=random:1", f"--weights={weights}",
                "--threads=1", f"--kernel-cache={self.folder}/kernels", "--target=cpu-x86-64-v3"]

    def partial(self):
        return glob.glob(os.path.join(self.folder, ".out.partial-*"))

    def kill_after(self, tensors):
        """Kills a compile by SIGKILL once so many tensors are finished."""
        running = subprocess.Popen([tools.tool("grokc"), *self.arguments(self.out, "int3")],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finished = 0
        while finished < tensors and running.poll() is None:
            time.sleep(0.005)
            for journal in glob.glob(os.path.join(self.folder, ".out.partial-*/finished-tensors")):
                with open(journal, encoding="utf-8") as file:
                    finished = file.read().count("\n")
        running.send_signal(signal.SIGKILL)
        self.assertNotEqual(running.wait(), 0, "the compile was done before it could be killed")
        self.assertFalse(os.path.exists(self.out))
        self.assertEqual(len(self.partial()), 1)
        return finished

    def test_killed_twice(self):
        whole = os.path.join(self.folder, "whole")
        tools.succeed("grokc", *self.arguments(whole, "int3"))
        self.kill_after(10)
        finished = self.kill_after(40)
        told = tools.succeed("grokc", *self.arguments(self.out, "int3"))
        self.assertGreaterEqual(reused(told), finished, told)
        self.assertEqual(digests(self.out), digests(whole))
        self.assertEqual(self.partial(), [])

    def test_other_options_start_anew(self):
        self.kill_after(10)
        told = tools.succeed("grokc", *self.arguments(self.out, "int8"))
        self.assertEqual(reused(told), 0, told)
        self.assertEqual(self.partial(), [])
        self.assertEqual(len(digests(self.out)), 2)


if __name__ == "__main__":
    unittest.main()
