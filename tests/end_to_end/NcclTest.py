# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole plans of ranks that meet by NCCL on their GPUs' streams, without a GPU: driver and
NCCL are the fakes of tests/runtime.
"""
import os
import tempfile
import time
import unittest

import numpy

import CudaTest
import decode
import goldens
import models
import ranks
import tools

FAKE = {**CudaTest.FAKE, "GROK_NCCL_LIBRARY": CudaTest.FAKE["GROK_CUDA_LIBRARY"]}


def golden(*options):
    return models.golden("b4x2", "int8", "fast", "--target=sm_80", "--emulate", "--reproducible",
                         *options)


@tools.needs_compiler
class WholePlans(unittest.TestCase):
    def setUp(self):
        self.artifact = golden("--sharding=tp2", "--devices=2")
        self.tokens = goldens.tokens("b4x2", "seq7")

    def fakes(self, **values):
        return {**FAKE, "FAKE_CUDA_PLAN": os.path.join(self.artifact, "model.plan"),
                "FAKE_CUDA_DEVICES": "2", **values}

    def generate(self, *options, **values):
        """Two processes whose GPUs do not reach each other's memory."""
        command = [tools.tool("grok-run"), self.artifact, "--device=cuda",
                   f"--tokens={','.join(map(str, self.tokens))}", "--max-new-tokens=3",
                   "--print-tokens", *options]
        fakes = self.fakes(**{"GROK_RANK_MEMORY": "private", "GROK_RANK_DEADLINE": "60", **values})
        return [ranks.start(one, **fakes) for one in ranks.commands(command, 2)]

    def end(self, processes):
        """Exit codes, what was printed and what was said."""
        said = [one.communicate(timeout=ranks.HANG_SECONDS) for one in processes]
        return ([one.returncode for one in processes], [out for out, _ in said],
                [error for _, error in said])

    def test_same_bits(self):
        """Prompt and decoded tokens have the logits of one rank."""
        expected = decode.generate(golden("--sharding=tp1"), self.tokens, 3, "--device=emulated")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "logits.npy")
            codes, printed, said = self.end(self.generate(f"--logits-out={path}"))
            self.assertEqual(codes, [0, 0], said)
            actual = decode.Decoded(numpy.load(path), printed[0])
        numpy.testing.assert_array_equal(actual.logits, expected.logits)
        self.assertEqual(actual.tokens, expected.tokens)

    def count(self, **values):
        """Logits, and how often of both ranks NCCL worked, the kernels of windows and that of
        NCCL ran."""
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as counts:
            path = os.path.join(folder, "logits.npy")
            codes, _, said = self.end(self.generate(f"--logits-out={path}", **values,
                                                    GROK_RANK_MEMORY="shared",
                                                    FAKE_CUDA_COUNTS=counts))
            self.assertEqual(codes, [0, 0], said)
            told = {}
            for name in os.listdir(counts):
                with open(os.path.join(counts, name), encoding="utf-8") as file:
                    for line in file:
                        number, what = line.rstrip("\n").split(" ", 1)
                        told[what] = told.get(what, 0) + int(number)
            exchanges = [told.get(f"run of service_{name}", 0)
                         for name in ("exchange", "exchange_norm")]
            return (numpy.load(path), told["NCCL"], sum(exchanges),
                    told.get("run of service_merge", 0))

    def test_both_ways(self):
        """Windows for the short messages of a plan, NCCL for its long ones. Rows of sums have
        256 bytes, logits 1536: steps of two rows and more have long ones from 512 bytes on,
        decoded tokens those of logits alone, which no kernel merges."""
        expected = decode.generate(golden("--sharding=tp1"), self.tokens, 3,
                                   "--device=emulated").logits
        counted = [self.count(**values) for values in
                   ({}, {"GROK_NCCL_FROM": "512"}, {"GROK_NCCL_FROM": "0"})]
        for logits, *_ in counted:
            numpy.testing.assert_array_equal(logits, expected)
        (_, none, exchanges, no_merges), (_, some, fewer, merges), (_, most, no_exchanges,
                                                                     most_merges) = counted
        self.assertEqual((no_merges, no_exchanges), (0, 0))
        self.assertTrue(none < some < most and 0 < fewer < exchanges and 0 < merges < most_merges,
                        counted)

    def test_threads(self):
        """Of one process; the way is told."""
        expected = decode.feed(golden("--sharding=tp1"), self.tokens, "--device=emulated")
        with CudaTest.environment(**self.fakes()):
            actual = decode.feed(self.artifact, self.tokens, "--device=cuda")
        # Little memory: the bench reads most of what is free, ten times.
        with CudaTest.environment(**self.fakes(FAKE_CUDA_MEMORY="400000000")):
            told = tools.succeed("grok-bench", self.artifact, "--device=cuda", "--explain",
                                 "--prompt-tokens=0", "--new-tokens=1", "--batch=1", "--depth=0")
        numpy.testing.assert_array_equal(actual, expected)
        self.assertIn("all_reduce (NCCL)", told)
        self.assertIn("all_gather (NCCL)", told)

    @unittest.skipUnless(os.environ.get("GROKC_FULL"), "with --param full=1")
    def test_sixteen_ranks(self):
        """More than the windows' kernel serves."""
        options = ["--weights=int8", "--numerics=fast", "--target=sm_80", "--emulate",
                   "--reproducible"]
        one = models.compiled("nano-reproducible", tools.NANO, *options, "--sharding=tp1")
        self.artifact = models.compiled("nano-sixteen", tools.NANO, *options,
                                        "--sharding=ep8.tp2", "--devices=16")
        expected = decode.feed(one, self.tokens[:3], "--device=emulated")
        with CudaTest.environment(**self.fakes(FAKE_CUDA_DEVICES="16")):
            actual = decode.feed(self.artifact, self.tokens[:3], "--device=cuda")
        numpy.testing.assert_array_equal(actual, expected)

    def test_errors_end_the_job(self):
        codes, _, said = self.end(self.generate(FAKE_NCCL_FAIL="error=6"))
        self.assertEqual(codes, [3, 3], said)
        for line in said:
            self.assertIn("NCCL: remote process exited or there was a network error", line)
            self.assertEqual(line.count("\n"), 1, line)

    def test_a_dead_rank_ends_the_job(self):
        processes = self.generate(FAKE_NCCL_FAIL="hang=6")
        time.sleep(2)  # until they wait, most likely
        processes[1].kill()
        begin = time.monotonic()
        codes, _, said = self.end(processes)
        self.assertLess(time.monotonic() - begin, ranks.PROMISED_SECONDS)
        self.assertEqual(codes[0], 3, said)
        self.assertIn("rank 1", said[0])

    def test_a_hang_ends_the_job(self):
        codes, _, said = self.end(self.generate(FAKE_NCCL_FAIL="hang=6", GROK_RANK_DEADLINE="4"))
        self.assertEqual(codes, [3, 3], said)
        self.assertIn("did not answer within 4 s", "".join(said))


if __name__ == "__main__":
    unittest.main()
