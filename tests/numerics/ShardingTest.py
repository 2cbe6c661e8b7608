# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every sharding gives the reference's logits, through threads and processes.

The bound is that of GoldensTest: other shardings are other orders of the same sums.
"""
import os
import re
import tempfile
import unittest

import numpy

import decode
import goldens
import models
import ranks
import tools

BOUND = 2e-4  # absolute, on every logit

SHARDINGS = {
    "b4x2": ["tp2", "tp4", "ep2", "ep4", "pp2", "pp3", "tp2.pp2", "ep2.tp2", "ep2.pp3", "dp2",
             "tp2.dp2", "tp2.ep2:hidden=0,2", "ep2.pp3:hidden=1"],
    "a6x1": ["tp2", "tp3", "ep2.pp2"],
}
PROMPT = "Once upon a time"


def rank_count(sharding):
    count = 1
    for part in sharding.split(":")[0].split("."):
        count *= int(part[2:])
    return count


def processes(artifact, count, *arguments, mpi=False):
    """Exit code, standard output and error of a job of `count` processes of grok-run."""
    command = [tools.tool("grok-run"), artifact, *map(str, arguments), "--threads=1"]
    started = [ranks.start(one) for one in ranks.commands(command, count, mpi)]
    ended = [process.communicate(timeout=ranks.HANG_SECONDS) for process in started]
    return (max(process.returncode for process in started), "".join(out for out, _ in ended),
            "".join(error for _, error in ended))


@tools.needs_compiler
class Goldens(unittest.TestCase):
    def check(self, model, weights, sharding):
        artifact = models.golden(model, weights, "f32", f"--sharding={sharding}")
        for sequence in (*goldens.SEQUENCES, "pad7"):
            with self.subTest(sequence):
                expected = goldens.logits(model, weights, "f32", "prefill", sequence)
                actual = decode.feed(artifact, goldens.tokens(model, sequence))
                self.assertEqual(actual.shape, expected.shape)
                self.assertLessEqual(numpy.abs(actual - expected).max(), BOUND)
        prompt = goldens.tokens(model, "prompt9")
        expected = goldens.greedy_run(model, weights, "f32")["tokens"]
        run = decode.generate(artifact, prompt, len(expected), "--prefill-chunk", 5)
        self.assertEqual(run.tokens, expected)


def add_cases():
    for model, shardings in SHARDINGS.items():
        for sharding in shardings:
            for weights in goldens.WEIGHTS:
                name = f"test_{model}_{weights}_{re.sub('[^a-z0-9]', '_', sharding)}"
                setattr(Goldens, name,
                        lambda self, m=model, w=weights, s=sharding: self.check(m, w, s))


add_cases()


@tools.needs_compiler
class GoldensByMpi(unittest.TestCase):
    @ranks.needs_mpi
    def test_logits(self):
        for model, sharding in (("b4x2", "tp4"), ("b4x2", "ep2.pp3"), ("a6x1", "tp3")):
            artifact = models.golden(model, "int8", "f32", f"--sharding={sharding}")
            tokens = goldens.tokens(model, "seq7")
            with self.subTest(f"{model} {sharding}"), tempfile.TemporaryDirectory() as folder:
                out = os.path.join(folder, "logits.npy")
                code, _, error = processes(artifact, rank_count(sharding), "--tokens",
                                           ",".join(map(str, tokens)), "--max-new-tokens", 0,
                                           "--logits-out", out, mpi=True)
                self.assertEqual(code, 0, error)
                expected = goldens.logits(model, "int8", "f32", "prefill", "seq7")
                self.assertLessEqual(numpy.abs(numpy.load(out) - expected).max(), BOUND)


@tools.needs_compiler
class Nano(unittest.TestCase):
    """Text of the trained model: one rank, two ranks, threads, processes and mpirun agree."""

    @classmethod
    def setUpClass(cls):
        cls.arguments = ("--prompt", PROMPT, "--max-new-tokens", 24)
        cls.expected = tools.succeed("grok-run", models.nano("f32"), *cls.arguments)

    def artifact(self, sharding):
        return models.compiled(f"nano-f32-{sharding}", tools.NANO, "--numerics=f32",
                               f"--sharding={sharding}")

    def test_threads(self):
        for sharding in ("tp2", "ep2.pp3", "tp2.dp2"):
            with self.subTest(sharding):
                count = rank_count(sharding)
                text = tools.succeed("grok-run", self.artifact(sharding), "--ranks", count,
                                     *self.arguments)
                self.assertEqual(text, self.expected)

    def test_batch_on_replicas_and_stages(self):
        lines = ["Once upon a time", "The cat", "One day, a girl", "Tom saw a big dog", "It was"]
        whole = decode.prompts(models.nano("f32"), lines, 6)
        spread = decode.prompts(self.artifact("pp2.dp2"), lines, 6)
        for one, other in zip(whole, spread):
            self.assertLessEqual(numpy.abs(one - other).max(), BOUND)

    def test_processes(self):
        code, out, error = processes(self.artifact("tp2"), 2, *self.arguments)
        self.assertEqual((code, out), (0, self.expected), error)

    @ranks.needs_mpi
    def test_mpirun(self):
        for sharding in ("tp2", "tp2.pp2"):
            with self.subTest(sharding):
                code, out, error = processes(self.artifact(sharding), rank_count(sharding),
                                             *self.arguments, mpi=True)
                self.assertEqual((code, out), (0, self.expected), error)

    def test_other_number_of_ranks(self):
        run = tools.run("grok-run", self.artifact("tp2"), "--ranks", 4, *self.arguments)
        self.assertEqual(run.returncode, 1)
        self.assertIn("is compiled for 2 ranks (tp2), not for 4", run.stderr)


if __name__ == "__main__":
    unittest.main()
