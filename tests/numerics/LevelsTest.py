# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Each CPU level by itself: right within the bound, and where the operations are
the same, the same bits. A level that this machine cannot run is skipped.
"""
import unittest

import numpy

import decode
import goldens
import models
import tools

BOUND = 2e-4  # as in GoldensTest
NEEDS = {
    "x86-64-v2": {"sse4_2"},
    "x86-64-v3": {"avx2", "fma"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"},
    "x86-64-v4-amx": {"avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"},
}


def this_cpu():
    with open("/proc/cpuinfo", encoding="ascii") as info:
        line = next(line for line in info if line.startswith("flags"))
    return set(line.split(":")[1].split())


@tools.needs_compiler
class Levels(unittest.TestCase):
    def logits(self, model, weights, level, sequence, *options):
        if not NEEDS[level] <= this_cpu():
            self.skipTest(f"this CPU lacks {sorted(NEEDS[level] - this_cpu())}")
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
            for level in NEEDS:
                name = f"test_{model}_{weights}_{level.replace('-', '_')}"
                setattr(Levels, name,
                        lambda self, m=model, w=weights, l=level: self.check(m, w, l))
            setattr(Levels, f"test_{model}_{weights}_v3_equals_v4",
                    lambda self, m=model, w=weights: self.check_same_bits(m, w))


add_cases()

if __name__ == "__main__":
    unittest.main()
