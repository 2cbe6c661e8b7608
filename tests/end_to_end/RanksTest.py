# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Artifacts of several ranks: their files, and what happens to a job when a rank goes wrong."""
import json
import os
import shutil
import signal
import tempfile
import time
import unittest

import models
import ranks
import tools


def artifact(sharding):
    return models.compiled(f"nano-{sharding}", tools.NANO, f"--sharding={sharding}")


def summary(folder):
    return json.loads(tools.succeed("grok-plan", "show", folder, "--json"))


@tools.needs_compiler
class Files(unittest.TestCase):
    def test_memory_is_that_of_the_files(self):
        """Grok-1 with two layers of an eighth of its width, as planned and as written."""
        config = {"emb_size": 768, "num_layers": 2, "num_q_heads": 48, "num_kv_heads": 8,
                  "key_size": 16, "widening_factor": 8, "ffn_size": 4096, "num_experts": 8,
                  "num_selected_experts": 2, "vocab_size": 2048, "model_shards_of_int8_scales": 8}
        with open(os.path.join(tools.INPUTS, "b4x2", "config.json"), encoding="utf-8") as file:
            config = json.load(file) | config
        for sharding in ("tp8", "tp8.pp2", "ep2.tp4"):
            with self.subTest(sharding), tempfile.TemporaryDirectory() as folder:
                with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
                    json.dump(config, file)
                common = (folder, f"--sharding={sharding}", "--max-context=160")
                planned, written = os.path.join(folder, "a"), os.path.join(folder, "b")
                tools.succeed("grokc", *common, "--weights-from=none", "-o", planned)
                tools.succeed("grokc", *common, "--weights-from=random:1", "-o", written)
                files = []
                for layout, other in zip(summary(planned)["layouts"], summary(written)["layouts"]):
                    size = os.path.getsize(os.path.join(written, other["file"]))
                    self.assertEqual(layout["file_bytes"], size)
                    self.assertEqual(other["file_bytes"], size)
                    files.append(other["file"])
                on_disk = {name for name in os.listdir(written) if name != "model.plan"}
                self.assertEqual(set(files), on_disk)

    def test_splits_that_cannot_be_made(self):
        for sharding, told in (("tp5", "tp 5 does not divide"), ("ep3", "ep 3 does not divide"),
                               ("pp9", "9"), ("xp2", "xp2"), ("tp2.tp2", "tp")):
            with self.subTest(sharding):
                error = tools.refusal("grokc", tools.NANO, f"--sharding={sharding}", "-o", "unused")
                self.assertIn(told, error)
        error = tools.refusal("grokc", tools.NANO, "--sharding=tp2", "--devices=4", "-o", "unused")
        self.assertIn("makes 2 ranks, --devices=4 has 4 devices", error)


@tools.needs_compiler
class Faults(unittest.TestCase):
    """Two processes that decode until one of them goes wrong."""

    def start(self, *folders):
        """A rank for each artifact."""
        command = [tools.tool("grok-run"), "--prompt=Once upon a time", "--max-new-tokens=200",
                   "--threads=1"]
        return [ranks.start(one + [folder])
                for one, folder in zip(ranks.commands(command, len(folders)), folders)]

    def end(self, processes):
        return [process.communicate(timeout=ranks.HANG_SECONDS)[1] for process in processes]

    def test_killed_rank(self):
        """Whichever rank is killed while it decodes: the other ends with 3 and names it."""
        for victim in (0, 1):
            with self.subTest(victim=victim):
                processes = self.start(artifact("tp2"), artifact("tp2"))
                # Something has been printed: the job is on its way.
                processes[0].stdout.read(1)
                start = time.monotonic()
                processes[victim].send_signal(signal.SIGKILL)
                errors = self.end(processes)
                self.assertLess(time.monotonic() - start, ranks.PROMISED_SECONDS)
                other = 1 - victim
                if processes[other].returncode == 0:
                    continue  # it had been done
                self.assertEqual(processes[other].returncode, 3, errors[other])
                self.assertRegex(errors[other], f"^grok-run: rank {victim} ")
                self.assertEqual(len(errors[other].splitlines()), 1, errors[other])

    def test_weights_of_another_rank(self):
        """A file that is not the rank's own is refused; the others end and name the rank."""
        good = artifact("tp2")
        with tempfile.TemporaryDirectory() as parent:
            bad = shutil.copytree(good, os.path.join(parent, "bad"))
            names = sorted(name for name in os.listdir(bad) if name.endswith(".safetensors"))
            shutil.copy(os.path.join(bad, names[0]), os.path.join(bad, names[1]))
            processes = self.start(good, bad)
            errors = self.end(processes)
        self.assertEqual(processes[1].returncode, 1, errors[1])
        self.assertIn(names[1], errors[1])
        self.assertEqual(processes[0].returncode, 3, errors[0])
        self.assertRegex(errors[0], "^grok-run: rank 1 ")

    def test_another_plan(self):
        processes = self.start(artifact("tp2"), artifact("ep2"))
        errors = self.end(processes)
        for process, error in zip(processes, errors):
            self.assertIn(process.returncode, (1, 3), error)
            self.assertIn("rank 1", error)


if __name__ == "__main__":
    unittest.main()
