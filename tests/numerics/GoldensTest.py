# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Float32 arithmetic against the reference's float32 logits.

The bound is the one that tests/inputs/README.md asks of float32 code. Its own
NumPy pass, with another order of sums, came within 7.2e-5.
"""
import unittest

import numpy

import decode
import goldens
import models
import tools

BOUND = 2e-4  # absolute, on every logit

# How the prompt is fed, and which reference array that is compared with. The
# reference masks pads in its prefill only (quirk 9); ours always does.
FEEDING = {
    "whole": ([], "prefill"),
    "in_chunks_of_5": (["--prefill-chunk", 5], "prefill"),
    "one_by_one": (["--prefill-chunk", 1], "decode"),
}


@tools.needs_compiler
class Goldens(unittest.TestCase):
    def check(self, model, weights, feeding):
        options, how = FEEDING[feeding]
        artifact = models.golden(model, weights)
        for sequence in (*goldens.SEQUENCES, "pad7"):
            with self.subTest(sequence):
                array = "prefill" if sequence == "pad7" else how
                expected = goldens.logits(model, weights, "f32", array, sequence)
                actual = decode.feed(artifact, goldens.tokens(model, sequence), *options)
                self.assertEqual(actual.shape, expected.shape)
                self.assertLessEqual(numpy.abs(actual - expected).max(), BOUND)

    def check_greedy(self, model, weights):
        prompt = goldens.tokens(model, "prompt9")
        expected = goldens.greedy_run(model, weights, "f32")["tokens"]
        run = decode.generate(models.golden(model, weights), prompt, len(expected))
        self.assertEqual(run.tokens, expected)
        # The logits that each new token was taken from.
        used = run.logits[len(prompt) - 1 :][: len(expected)]
        array = goldens.logits(model, weights, "f32", "greedy", "prompt9")
        self.assertLessEqual(numpy.abs(used - array).max(), BOUND)


def add_cases():
    for model in goldens.SETS:
        for weights in goldens.WEIGHTS:
            for feeding in FEEDING:
                setattr(Goldens, f"test_{model}_{weights}_{feeding}",
                        lambda self, m=model, w=weights, f=feeding: self.check(m, w, f))
            setattr(Goldens, f"test_{model}_{weights}_greedy",
                    lambda self, m=model, w=weights: self.check_greedy(m, w))


add_cases()

if __name__ == "__main__":
    unittest.main()
