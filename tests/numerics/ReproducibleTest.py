# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""--reproducible: the bits of the logits are those of every sharding, batch and chunking.

The model is random: 16 query and 8 kv heads, so that 8 ranks have one kv head each.
"""
import json
import os
import unittest

import numpy

import decode
import goldens
import models
import tools

CONFIG = {
    "vocab_size": 512, "emb_size": 256, "num_layers": 2, "num_q_heads": 16, "num_kv_heads": 8,
    "key_size": 16, "widening_factor": 12, "ffn_size": 2048, "num_experts": 8,
    "num_selected_experts": 2, "sequence_len": 128, "model_shards_of_int8_scales": 8,
}
TOKENS = [(7 * i * i + 3 * i + 1) % 512 for i in range(41)]
NUMERICS = {"f32": ("--numerics=f32",), "fast": (), "int4": ("--weights=int4",)}


def random_model():
    """A folder with the description: that of a golden with other numbers."""
    with open(os.path.join(tools.INPUTS, "b4x2", "config.json"), encoding="utf-8") as file:
        config = json.load(file) | CONFIG
    folder = os.path.join(tools.SCRATCH, "heads16x8")
    os.makedirs(folder, exist_ok=True)
    with models.locked("heads16x8"):
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
    return folder


def artifact(numerics, sharding):
    options = [*NUMERICS[numerics], f"--sharding={sharding}"]
    return models.compiled(f"heads16x8-{numerics}-{sharding}", random_model(),
                           "--weights-from=random:5", "--reproducible", *options)


@tools.needs_compiler
class Reproducible(unittest.TestCase):
    def check(self, numerics, shardings):
        whole = decode.feed(artifact(numerics, "tp1"), TOKENS)
        self.assertGreater(numpy.abs(whole).max(), 0)
        for sharding in shardings:
            with self.subTest(sharding):
                spread = artifact(numerics, sharding)
                self.assertEqual(decode.feed(spread, TOKENS).tobytes(), whole.tobytes())
                for chunk in (1, 7):
                    chunked = decode.feed(spread, TOKENS, "--prefill-chunk", chunk)
                    self.assertEqual(chunked.tobytes(), whole.tobytes(), f"chunks of {chunk}")

    def test_f32(self):
        self.check("f32", ("tp2", "tp4", "tp8", "ep4", "pp2", "ep2.tp2.pp2", "ep4:hidden=1"))

    def test_fast(self):
        self.check("fast", ("tp2", "tp4", "tp8", "ep2.tp4", "ep2.tp4:hidden=0"))

    def test_int4(self):
        self.check("int4", ("tp2", "tp8", "ep8", "tp2.ep4:hidden=1"))

    def test_in_a_batch(self):
        """A sequence beside others, on replicas of two ranks."""
        alone = decode.feed(artifact("fast", "tp1"), TOKENS)
        lines = [",".join(map(str, TOKENS[i:])) for i in (9, 0, 20, 31)]
        together = decode.prompts(artifact("fast", "tp2.dp2"), lines, 0)
        self.assertEqual(together[1].tobytes(), alone.tobytes())

    def test_goldens(self):
        for model, sharding in (("b4x2", "ep2.tp2"), ("a6x1", "ep4.pp2")):
            tokens = goldens.tokens(model, "prompt9")
            one = models.golden(model, "int8", "f32", "--reproducible", "--sharding=tp1")
            many = models.golden(model, "int8", "f32", "--reproducible", f"--sharding={sharding}")
            self.assertEqual(decode.feed(one, tokens).tobytes(),
                             decode.feed(many, tokens).tobytes(), model)

    def test_more_ranks_than_slices(self):
        """The plan's slices are what ranks share; more ranks are refused by name."""
        def told(model, sharding):
            return tools.refusal("grokc", os.path.join(tools.INPUTS, model), "--reproducible",
                                 "--weights-from=none", f"--sharding={sharding}", "-o", "unused")
        self.assertIn("'transformer/decoder_layer_0/multi_head_attention/linear/w' is summed in 2 "
                      "slices, which 4 ranks cannot share", told("b4x2", "tp4"))
        self.assertIn("tp 3 does not divide the 16 slices", told("a6x1", "tp3"))


if __name__ == "__main__":
    unittest.main()
