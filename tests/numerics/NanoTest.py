# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The trained model, int8, against what the reference made of it in float32."""
import json
import os
import unittest

import numpy

import decode
import goldens
import models
import tools

LOGIT_BOUND = 2e-4  # absolute, as for the golden sets
PERPLEXITY_BOUND = 5e-4  # relative


@tools.needs_compiler
class Nano(unittest.TestCase):
    def check_continuation(self, number):
        reference = goldens.nano_reference()["greedy"]["continuations"][number]
        expected = reference["continuation_ids"]
        run = decode.generate(models.nano(), reference["prompt_ids"], len(expected))
        self.assertEqual(run.tokens, expected)

    def test_text_in_text_out(self):
        for reference in goldens.nano_reference()["greedy"]["continuations"]:
            with self.subTest(reference["prompt"]):
                output = tools.succeed("grok-run", models.nano(), "--prompt", reference["prompt"],
                                       "--max-new-tokens", len(reference["continuation_ids"]))
                continuation = reference["text"][len(reference["prompt"]) :]
                self.assertIn(continuation.strip(), output)

    def test_logits_of_a_prompt(self):
        reference = goldens.nano_reference()["logits"]
        expected = numpy.load(os.path.join(tools.NANO, reference["file"]))
        actual = decode.feed(models.nano(), reference["prompt_ids"])
        self.assertEqual(actual.shape, expected.shape)
        self.assertLessEqual(numpy.abs(actual - expected).max(), LOGIT_BOUND)

    def test_perplexity_of_unseen_text(self):
        reference = goldens.nano_reference()["heldout"]["jax"]["int8.f32"]
        answer = json.loads(tools.succeed("grok-eval", models.nano(), "--text",
                                          os.path.join(tools.NANO, "heldout.txt"),
                                          "--window", 256, "--json"))
        self.assertEqual(answer["tokens"], reference["tokens_scored"])
        difference = answer["perplexity"] / reference["perplexity"] - 1
        self.assertLessEqual(abs(difference), PERPLEXITY_BOUND)


def add_cases():
    for number in range(len(goldens.nano_reference()["greedy"]["continuations"])):
        setattr(Nano, f"test_greedy_continuation_{number}",
                lambda self, n=number: self.check_continuation(n))


add_cases()

if __name__ == "__main__":
    unittest.main()
