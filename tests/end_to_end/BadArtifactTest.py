# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""grok-run refuses damaged artifacts: status 1 and one line, whatever is damaged.

What lies behind the digest is changed in the body and signed again.
"""
import glob
import os
import random
import shutil
import tempfile
import unittest

import goldens
import models
import planfile
import tools

HUGE = 2**62


class Damaged(unittest.TestCase):
    """A copy of a compiled a6x1 int8 in self.artifact, to be damaged."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.artifact = os.path.join(holder.name, "artifact")
        shutil.copytree(models.golden("a6x1", "int8"), self.artifact)
        self.plan = os.path.join(self.artifact, "model.plan")
        self.weights = glob.glob(os.path.join(self.artifact, "*.safetensors"))[0]

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def write(self, path, data):
        with open(path, "wb") as file:
            file.write(data)

    def refuse(self, *options):
        return tools.refusal("grok-run", self.artifact, "--tokens", "5,6,7", "--max-new-tokens", 2,
                             *options)


@tools.needs_compiler
class PlanFile(Damaged):
    def test_undamaged_copy_runs(self):
        tools.succeed("grok-run", self.artifact, "--tokens", "5,6,7", "--max-new-tokens", 2)

    def test_truncated(self):
        data = self.read(self.plan)
        for length in (0, 1, 7, 8, 40, 100, 1000, len(data) // 2, len(data) - 1):
            with self.subTest(length):
                self.write(self.plan, data[:length])
                self.refuse()

    def test_flipped_bytes(self):
        """The first ones all, then a sample: the digest covers the rest."""
        data = self.read(self.plan)
        positions = [*range(0, 160), *random.Random(1).sample(range(160, len(data)), 60)]
        for position in positions:
            with self.subTest(position):
                changed = bytearray(data)
                changed[position] ^= 0x10
                self.write(self.plan, bytes(changed))
                done = tools.run("grok-run", self.artifact, "--tokens", "5")
                # Padding between the outer table's fields means nothing.
                self.assertIn(done.returncode, (0, 1) if position < 160 else (1,), done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), done.returncode, done.stderr)

    def test_random_bytes(self):
        self.write(self.plan, random.Random(2).randbytes(100_000))
        self.refuse()

    def test_missing(self):
        os.remove(self.plan)
        self.assertIn("model.plan", self.refuse())

    def test_folder_in_its_place(self):
        os.remove(self.plan)
        os.mkdir(self.plan)
        self.refuse()

    def test_pipe_in_its_place(self):
        os.remove(self.plan)
        os.mkfifo(self.plan)
        self.refuse()

    def test_no_artifact(self):
        shutil.rmtree(self.artifact)
        self.assertIn(self.artifact, self.refuse())


@tools.needs_compiler
class SignedAgain(Damaged):
    def test_unchanged_body_runs(self):
        _, body = planfile.read_body(self.read(self.plan))
        self.write(self.plan, planfile.signed(body))
        tools.succeed("grok-run", self.artifact, "--tokens", "5,6,7", "--max-new-tokens", 2)
        self.write(self.plan, planfile.signed(planfile.from_json(planfile.to_json(body))))
        tools.succeed("grok-run", self.artifact, "--tokens", "5,6,7", "--max-new-tokens", 2)

    def test_future_version(self):
        _, body = planfile.read_body(self.read(self.plan))
        self.write(self.plan, planfile.signed(body, version=planfile.FORMAT_VERSION + 1))
        self.assertRegex(self.refuse(), "version")

    def test_other_identifier(self):
        _, body = planfile.read_body(self.read(self.plan))
        self.write(self.plan, planfile.signed(body, identifier=b"GGUF"))
        self.refuse()

    def test_flipped_bytes_of_the_body(self):
        """The verifier and the semantic check never crash and never say nothing."""
        _, body = planfile.read_body(self.read(self.plan))
        for position in random.Random(3).sample(range(len(body)), 150):
            with self.subTest(position):
                changed = bytearray(body)
                changed[position] ^= 0xFF
                self.write(self.plan, planfile.signed(bytes(changed)))
                done = tools.run("grok-plan", "show", self.artifact)
                self.assertIn(done.returncode, (0, 1), done.stderr[-2000:])
                self.assertEqual(len(done.stderr.splitlines()), done.returncode, done.stderr)

    def test_body_cut_off(self):
        _, body = planfile.read_body(self.read(self.plan))
        for length in (0, 4, 64, len(body) // 2, len(body) - 64):
            with self.subTest(length):
                self.write(self.plan, planfile.signed(body[:length]))
                self.refuse()


def last_bucket(plan):
    return plan["programs"][0]["buckets"][-1]


def buffer_of(plan, kind):
    return next(b for b in last_bucket(plan)["buffers"] if b.get("kind", "arena") == kind)


def set_in(place, key, value):
    return lambda plan: place(plan).__setitem__(key, value)


def launch(plan):
    return last_bucket(plan)["launches"][1]


def overlap(plan):
    """All buffers at the arena's start: some live at the same time."""
    for buffer in last_bucket(plan)["buffers"]:
        if buffer.get("kind", "arena") == "arena":
            buffer["offset"] = 0


# What each change breaks, and the change.
MEANINGS = {
    "no_layout": lambda plan: plan.update(layouts=[]),
    "no_program": lambda plan: plan.update(programs=[]),
    "no_bucket": lambda plan: plan["programs"][0].update(buckets=[]),
    "no_rank": lambda plan: plan.update(ranks=[]),
    "no_code": lambda plan: plan.update(code=[]),
    "rank_of_no_program": set_in(lambda p: p["ranks"][0], "program", 7),
    "rank_of_no_layout": set_in(lambda p: p["ranks"][0], "layout", -1),
    "no_rows": set_in(lambda p: p, "max_step_rows", 0),
    "more_rows_than_buckets": set_in(lambda p: p, "max_step_rows", 1 << 30),
    "huge_context": set_in(lambda p: p, "max_context", 2**31 - 1),
    "no_vocabulary": set_in(lambda p: p["model"], "vocab_size", 0),
    "huge_vocabulary": set_in(lambda p: p["model"], "vocab_size", HUGE),
    "page_of_3_tokens": set_in(lambda p: p["page"], "tokens", 3),
    "page_too_small": set_in(lambda p: p["page"], "bytes", 64),
    "huge_page": set_in(lambda p: p["page"], "bytes", HUGE),
    "arena_too_small": set_in(last_bucket, "arena_bytes", 64),
    "huge_arena": set_in(last_bucket, "arena_bytes", HUGE),
    "buffer_beyond_arena": set_in(lambda p: buffer_of(p, "arena"), "offset", 2**64 - 64),
    "buffer_wraps": set_in(lambda p: buffer_of(p, "arena"), "bytes", 2**64 - 64),
    "buffer_unaligned": set_in(lambda p: buffer_of(p, "arena"), "offset", 3),
    "weight_of_no_tensor": set_in(lambda p: buffer_of(p, "weight"), "tensor", 10_000),
    "overlapping_buffers": overlap,
    "tensor_beyond_file": set_in(lambda p: p["layouts"][0]["tensors"][-1], "offset", HUGE),
    "tensor_too_long": set_in(lambda p: p["layouts"][0]["tensors"][-1], "bytes", HUGE),
    "tensor_unaligned": set_in(lambda p: p["layouts"][0]["tensors"][1], "offset", 4097),
    "file_outside_the_folder": set_in(lambda p: p["layouts"][0], "file", "../../etc/passwd"),
    "file_by_absolute_path": set_in(lambda p: p["layouts"][0], "file", "/etc/passwd"),
    "launch_of_no_kernel": set_in(launch, "kernel", 10_000),
    "operand_of_no_buffer": set_in(lambda p: launch(p)["operands"][0], "buffer", 10_000),
    "operand_missing": lambda plan: launch(plan)["operands"].pop(),
    "negative_tiles": set_in(lambda p: launch(p)["tiles"], "constant", -HUGE),
    "huge_tiles": set_in(lambda p: launch(p)["tiles"], "max", HUGE),
    "kernel_not_in_code": set_in(lambda p: p["kernels"][0], "symbol", "no_such_symbol"),
    "huge_scratch": set_in(lambda p: p["kernels"][0], "scratch_bytes", HUGE),
    "tokenizer_damaged": lambda plan: plan.update(tokenizer=[1, 2, 3]),
}


@tools.needs_compiler
class Meaning(Damaged):
    def check(self, change):
        _, body = planfile.read_body(self.read(self.plan))
        plan = planfile.to_json(body)
        change(plan)
        self.write(self.plan, planfile.signed(planfile.from_json(plan)))
        self.refuse()

    def test_code_for_another_cpu(self):
        _, body = planfile.read_body(self.read(self.plan))
        plan = planfile.to_json(body)
        for blob in plan["code"]:
            blob["features"] = ["a-feature-of-the-future"]
        self.write(self.plan, planfile.signed(planfile.from_json(plan)))
        self.assertIn("a-feature-of-the-future", self.refuse())


@tools.needs_compiler
class WeightFile(Damaged):
    def test_missing(self):
        os.remove(self.weights)
        self.assertIn(os.path.basename(self.weights), self.refuse())

    def test_truncated(self):
        data = self.read(self.weights)
        for length in (0, 1, 8, 4095, 4096, len(data) - 1):
            with self.subTest(length):
                self.write(self.weights, data[:length])
                self.refuse()

    def test_longer(self):
        self.write(self.weights, self.read(self.weights) + b"\0")
        self.refuse()

    def test_flipped_header(self):
        data = self.read(self.weights)
        for position in (0, 7, 8, 9, 100, 4095):
            with self.subTest(position):
                changed = bytearray(data)
                changed[position] ^= 1
                self.write(self.weights, bytes(changed))
                self.refuse()

    def test_of_another_plan(self):
        other = glob.glob(os.path.join(models.golden("a6x1", "float"), "*.safetensors"))[0]
        shutil.copy(other, self.weights)
        self.refuse()

    def test_pipe_in_its_place(self):
        os.remove(self.weights)
        os.mkfifo(self.weights)
        self.refuse()


@tools.needs_compiler
class BadRequest(unittest.TestCase):
    def refuse(self, *arguments):
        return tools.refusal("grok-run", models.nano(), *arguments)

    def test_tokens_outside_the_vocabulary(self):
        for token in (2048, 2**31 - 1, -1):
            with self.subTest(token):
                self.refuse("--tokens", f"5,{token}", "--max-new-tokens", 1)

    def test_prompt_longer_than_the_context(self):
        limit = goldens.read_json(tools.NANO, "config.json")["sequence_len"]
        tokens = ",".join(["5"] * 9000)
        self.assertRegex(self.refuse("--tokens", tokens, "--max-new-tokens", 1),
                         f"{limit}|8192")

    def test_missing_prompts(self):
        self.assertIn("no/such/file", self.refuse("--prompts", "no/such/file"))

    def test_cache_without_room(self):
        self.refuse("--tokens", ",".join(["5"] * 200), "--kv-memory=64KiB")

    def test_model_without_tokenizer(self):
        line = tools.refusal("grok-run", models.golden("a6x1", "int8"), "--prompt", "Once")
        self.assertIn("tokenizer", line)


for name, change in MEANINGS.items():
    setattr(Meaning, "test_" + name, lambda self, c=change: self.check(c))

if __name__ == "__main__":
    unittest.main()
