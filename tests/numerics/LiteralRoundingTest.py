# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--numerics=bf16 against the released model's own types.

The bounds are those of tests/inputs/README.md for code with the literal bf16
roundings: one flipped last bit of a sum is amplified by these random models to
0.22 at most and 0.025 rms, and XLA's own variants of the program differ more.
"""
import unittest

import numpy

import decode
import goldens
import models
import tools

RMS_BOUND = 0.05
MAX_BOUND = 0.5
ONE_TOKEN_BOUND = 0.03  # seq1: nothing to accumulate over positions


@tools.needs_compiler
class LiteralRounding(unittest.TestCase):
    def compare(self, actual, expected, largest=MAX_BOUND):
        self.assertEqual(actual.shape, expected.shape)
        difference = actual - expected
        self.assertLessEqual(numpy.abs(difference).max(), largest)
        self.assertLessEqual(numpy.sqrt(numpy.mean(difference**2)), RMS_BOUND)

    def check(self, model, weights, how):
        artifact = models.golden(model, weights, "bf16")
        options = ["--prefill-chunk", 1] if how == "decode" else []
        sequences = goldens.SEQUENCES + (("pad7",) if how == "prefill" else ())
        for sequence in sequences:
            with self.subTest(sequence):
                expected = goldens.logits(model, weights, "bf16", how, sequence)
                actual = decode.feed(artifact, goldens.tokens(model, sequence), *options)
                self.compare(actual, expected,
                             ONE_TOKEN_BOUND if sequence == "seq1" else MAX_BOUND)

    def check_greedy(self, model, weights):
        """Equal tokens; from a near tie on, another continuation is as right."""
        prompt = goldens.tokens(model, "prompt9")
        reference = goldens.greedy_run(model, weights, "bf16")
        expected = reference["tokens"]
        run = decode.generate(models.golden(model, weights, "bf16"), prompt, len(expected))
        same = next((i for i in range(len(expected)) if run.tokens[i] != expected[i]), None)
        steps = len(expected) if same is None else same + 1
        array = goldens.logits(model, weights, "bf16", "greedy", "prompt9")
        self.compare(run.logits[len(prompt) - 1 :][:steps], array[:steps])
        if same is not None:
            # Two logits, each within the bound, can change places only so far.
            self.assertLessEqual(reference["top1_minus_top2"][same], 2 * MAX_BOUND)

    def check_values(self, model):
        """Every logit is a bf16 number."""
        logits = decode.feed(models.golden(model, "int8", "bf16"), goldens.tokens(model, "seq33"))
        self.assertFalse((logits.view(numpy.uint32) & 0xFFFF).any())


def add_cases():
    for model in goldens.SETS:
        for weights in goldens.WEIGHTS:
            for how in ("prefill", "decode"):
                setattr(LiteralRounding, f"test_{model}_{weights}_{how}",
                        lambda self, m=model, w=weights, h=how: self.check(m, w, h))
            setattr(LiteralRounding, f"test_{model}_{weights}_greedy",
                    lambda self, m=model, w=weights: self.check_greedy(m, w))
        setattr(LiteralRounding, f"test_{model}_logits_are_bf16",
                lambda self, m=model: self.check_values(m))


add_cases()

if __name__ == "__main__":
    unittest.main()
