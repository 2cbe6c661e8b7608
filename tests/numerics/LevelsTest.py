# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Each CPU level by itself: right within the bound, and where the operations are
the same, the same bits. A level that this machine cannot run is skipped.
"""
import unittest

import numpy

import decode
import goldens
import levels
import models
import tools

BOUND = 2e-4  # as in GoldensTest

@tools.needs_compiler
class Levels(unittest.TestCase):
    def logits(self, model, weights, level, sequence, *options):
        if not levels.can_run(level):
            self.skipTest(f"this CPU lacks {sorted(levels.missing(level))}")
        artifact = models.golden(model, weights, "f32", f"--target=cpu-{level}")
        return decode.feed(artifact, goldens.tokens(model, sequence), *options)

    def check(self, model, weights, level):
        for sequence in ("seq130", "pad7"):
            expected = goldens.logits(model, weights, "f32", "prefill", sequence)
            whole = self.logits(model, weights, level, sequence)
            self.assertLessEqual(numpy.abs(whole - expected).max(), BOUND)
            single = self.logits(model, weights, level, sequence, "--prefill-chunk", 1)
            numpy.testing.assert_array_equal(single, whole)

    def check_same_bits(self, model, weights):
        """Both have fused multiply-add; width and unrolling must not show."""
        numpy.testing.assert_array_equal(self.logits(model, weights, "x86-64-v3", "seq130"),
                                         self.logits(model, weights, "x86-64-v4", "seq130"))


def add_cases():
    for model in goldens.SETS:
        for weights in goldens.WEIGHTS:
            for level in levels.NEEDS:
                name = f"test_{model}_{weights}_{level.replace('-', '_')}"
                setattr(Levels, name,
                        lambda self, m=model, w=weights, l=level: self.check(m, w, l))
            setattr(Levels, f"test_{model}_{weights}_v3_equals_v4",
                    lambda self, m=model, w=weights: self.check_same_bits(m, w))


add_cases()

if __name__ == "__main__":
    unittest.main()
