# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tokens drawn on the device: those that the host draws from equal logits, whether it
has them from the CPU or from the device.
"""
import json
import os
import tempfile
import unittest

import models
import tools

PROMPTS = ("Once upon a time", "The little dog", "A")
WAYS = {"greedy": (),
        "any": ("--temperature=0.9", "--seed=11"),
        "nucleus": ("--temperature=1.1", "--top-p=0.8", "--seed=7")}


def nano(chip, *more):
    options = ("--numerics=f32", *more)
    return models.compiled("".join([f"nano-{chip}", *options]), tools.NANO, f"--target=cpu,{chip}",
                           "--emulate", *options)


@tools.needs_compiler
class DeviceDraws(unittest.TestCase):
    def check(self, way):
        artifact = nano("sm_90a")
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "prompts.txt")
            with open(source, "w", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in PROMPTS))

            def texts(*options):
                return tools.succeed("grok-run", artifact, "--prompts", source,
                                     "--max-new-tokens", 6, *WAYS[way], *options)

            expected = texts("--device=cpu")
            self.assertEqual(texts("--device=emulated"), expected)
            self.assertEqual(texts("--device=emulated", "--logits-out",
                                   os.path.join(folder, "logits.npy")), expected)
        return expected

    def test_greedy(self):
        self.check("greedy")

    def test_any(self):
        self.assertNotEqual(self.check("any"), self.check("greedy"))

    def test_nucleus(self):
        self.check("nucleus")

    def test_ranks(self):
        """The last stage of each replica draws."""
        ranks = nano("sm_90a", "--sharding=pp2.dp2")
        one = nano("sm_90a")
        options = ("--prompt", PROMPTS[0], "--max-new-tokens", 4, *WAYS["any"])
        expected = tools.succeed("grok-run", one, "--device=cpu", *options)
        for device in "cpu", "emulated":
            self.assertEqual(tools.succeed("grok-run", ranks, "--ranks=4", f"--device={device}",
                                           *options), expected, device)

    def test_memory_that_would_be_too_much(self):
        """Plans do without the service then."""
        with open(os.path.join(tools.INPUTS, "a6x1", "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["vocab_size"] = 1 << 20
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
                json.dump(config, file)
            for rows, expected in (16, True), (8192, False):
                artifact = os.path.join(folder, str(rows))
                tools.succeed("grokc", folder, "-o", artifact, "--weights-from=none",
                              "--target=sm_80", f"--max-step-rows={rows}")
                shown = json.loads(tools.succeed("grok-plan", "show", artifact, "--json"))
                ops = [service["op"] for service in shown["gpu_code"][0]["services"]]
                self.assertEqual("sample" in ops, expected, ops)


if __name__ == "__main__":
    unittest.main()
