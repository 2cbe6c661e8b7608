# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Steps of one row as one launch: the bits of the launches that it stands for."""
import json
import os
import unittest

import numpy

import decode
import goldens
import models
import tools

# As in GpuTest.py; blocks that wait for each other, and more of them than have work.
SCHEDULES = ("schedule=in-order,blocks=2", "schedule=random,seed=3,blocks=3",
             "schedule=greedy,seed=5,blocks=4")
FAKE = {"GROK_CUDA_LIBRARY": os.path.join(tools.BUILD, "lib", "libfake-cuda.so"),
        "FAKE_CUDA_CAPABILITY": "8.0"}


def artifact(chip, *options):
    return models.golden("a6x1", "int8", "fast", f"--target={chip}", "--emulate", *options)


class environment:
    def __init__(self, **values):
        self.values = values

    def __enter__(self):
        self.before = dict(os.environ)
        os.environ.update(self.values)

    def __exit__(self, *_):
        os.environ.clear()
        os.environ.update(self.before)


def one_by_one(folder, device, **values):
    tokens = goldens.tokens("a6x1", "seq7")[:4]
    with environment(**values):
        return decode.feed(folder, tokens, f"--device={device}", "--prefill-chunk", 1)


@tools.needs_compiler
class Persistent(unittest.TestCase):
    def check_same_bits(self, chip):
        expected = one_by_one(artifact(chip), "emulated")
        for schedule in SCHEDULES:
            actual = one_by_one(artifact(chip, "--persistent"), "emulated", GROK_EMULATOR=schedule)
            numpy.testing.assert_array_equal(actual, expected)

    def test_same_bits_sm_80(self):
        self.check_same_bits("sm_80")

    def test_same_bits_sm_90a(self):
        self.check_same_bits("sm_90a")

    def test_the_driver_launches_one_kernel(self):
        """Which is refused unless the driver is told that its blocks wait for each other."""
        folder = artifact("sm_80", "--persistent")
        plan = os.path.join(folder, "model.plan")
        actual = one_by_one(folder, "cuda", **FAKE, FAKE_CUDA_PLAN=plan)
        numpy.testing.assert_array_equal(actual, one_by_one(artifact("sm_80"), "emulated"))
        with environment(**FAKE, FAKE_CUDA_PLAN=plan, FAKE_CUDA_FAIL="launch=service_persistent"):
            said = tools.refusal("grok-run", folder, "--tokens=3", "--device=cuda")
        self.assertIn("in one of 2 launches, the last of kernel service_sample", said)

    def test_plans_show_it(self):
        shown = json.loads(tools.succeed("grok-plan", "show", artifact("sm_90a", "--persistent"),
                                         "--json"))
        (service,) = [each for each in shown["gpu_code"][0]["services"]
                      if each["op"] == "persistent"]
        self.assertEqual(service["threads"] % 32, 0)
        one_row, *others = shown["programs"][0]["buckets"]
        self.assertEqual(len(one_row["task_waits"]), one_row["launches"])
        self.assertEqual(one_row["task_waits"][0], [])
        for task, waits in list(enumerate(one_row["task_waits"]))[1:]:
            self.assertTrue(waits and max(waits) < task, (task, waits)) # each reads something
        self.assertFalse([each for each in others if "task_waits" in each])
        self.assertIn("in one launch on GPUs: ", tools.succeed(
            "grok-plan", "show", artifact("sm_90a", "--persistent")))


if __name__ == "__main__":
    unittest.main()
