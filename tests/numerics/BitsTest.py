# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A row's logits have the same bits alone, in a batch, chunked or not, and with
any number of threads: the order of every sum depends on shapes alone.
"""
import unittest

import numpy

import decode
import goldens
import models
import runtime
import tools

VARIANTS = [(model, weights) for model in goldens.SETS for weights in goldens.WEIGHTS]


def bits(logits):
    return logits.view(numpy.uint32)


@tools.needs_compiler
class Bits(unittest.TestCase):
    def assert_same(self, actual, expected):
        numpy.testing.assert_array_equal(bits(actual), bits(expected))

    def alone(self, artifact, tokens):
        return runtime.feed_together(artifact, [tokens], [len(tokens)])[0]

    def check_feeding(self, model, weights):
        artifact = models.golden(model, weights)
        tokens = goldens.tokens(model, "seq130")
        expected = self.alone(artifact, tokens)
        for threads in (1, 4):
            for chunk in (1, 5, len(tokens)):
                with self.subTest(threads=threads, chunk=chunk):
                    self.assert_same(decode.feed(artifact, tokens, "--threads", threads,
                                                 "--prefill-chunk", chunk), expected)

    def check_batch_of_3(self, model, weights):
        """One sequence in chunks, one decoding, one whole, all in the same steps."""
        artifact = models.golden(model, weights)
        lists = [goldens.tokens(model, name) for name in ("seq130", "seq33", "pad7")]
        expected = [self.alone(artifact, tokens) for tokens in lists]
        for threads in (1, 4):
            together = runtime.feed_together(artifact, lists, [5, 1, 130], threads)
            for number, actual in enumerate(together):
                with self.subTest(threads=threads, sequence=number):
                    self.assert_same(actual, expected[number])

    def check_batch_of_64(self, model, weights):
        """64 sequences of different lengths: prefill in chunks of 5, then decoding."""
        artifact = models.golden(model, weights)
        tokens = goldens.tokens(model, "seq130")
        lists = [tokens[start : start + 3 + start % 17] for start in range(64)]
        together = runtime.feed_together(artifact, lists, [5 if n % 2 else 1 for n in range(64)], 4)
        for number, actual in enumerate(together):
            with self.subTest(sequence=number):
                self.assert_same(actual, self.alone(artifact, lists[number]))

    def check_golden_batch(self, model, weights):
        """Sequences in one batch against the reference, with GoldensTest's bound."""
        names = ("seq130", "seq33", "pad7")
        lists = [goldens.tokens(model, name) for name in names]
        together = runtime.feed_together(models.golden(model, weights), lists, [5, 33, 1])
        for name, actual in zip(names, together, strict=True):
            with self.subTest(name):
                expected = goldens.logits(model, weights, "f32", "prefill", name)
                self.assertLessEqual(numpy.abs(actual - expected).max(), 2e-4)


@tools.needs_compiler
class BitsOfPrompts(unittest.TestCase):
    """The same through grok-run --prompts, on the trained model."""

    def check(self, count):
        starts = [entry["prompt"] for entry in goldens.nano_reference()["greedy"]["continuations"]]
        lines = [" ".join(starts[number % 5].split()[: 2 + number % 7]) for number in range(count)]
        together = decode.prompts(models.nano(), lines, 12, "--threads", 4)
        for number in sorted({0, 1, 2, count // 2, count - 1}):
            with self.subTest(lines[number]):
                alone = decode.prompts(models.nano(), [lines[number]], 12, "--threads", 1)[0]
                numpy.testing.assert_array_equal(bits(together[number]), bits(alone))

    def test_batch_of_3(self):
        self.check(3)

    def test_batch_of_64(self):
        self.check(64)


def add_cases():
    for model, weights in VARIANTS:
        for name in ("feeding", "batch_of_3", "batch_of_64", "golden_batch"):
            setattr(Bits, f"test_{model}_{weights}_{name}",
                    lambda self, m=model, w=weights, n=name: getattr(self, "check_" + n)(m, w))


add_cases()

if __name__ == "__main__":
    unittest.main()
