# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole plans through the runtime's CUDA device, without a GPU: the driver is the fake of
tests/runtime/device/cuda, which runs the kernels in the emulator.
"""
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import numpy

import decode
import goldens
import models
import ranks
import tools

CHIPS = {"sm_80": "8.0", "sm_90a": "9.0"}
# What the fake driver is told; the tests of a machine with a GPU hide that.
FAKE = {"GROK_CUDA_LIBRARY": os.path.join(tools.BUILD, "lib", "libfake-cuda.so"),
        "GROK_NCCL_LIBRARY": ""}
# The fake driver is told the plan by whoever starts the program.
WRAPPER = """#!/bin/bash
for a; do [ ! -f "$a/model.plan" ] || export FAKE_CUDA_PLAN=$a/model.plan; done
exec {program} "$@"
"""


@contextlib.contextmanager
def environment(**values):
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def fake_driver(artifact, chip):
    return environment(**FAKE, FAKE_CUDA_PLAN=os.path.join(artifact, "model.plan"),
                       FAKE_CUDA_CAPABILITY=CHIPS[chip])


def nano(chip, *options):
    return models.compiled("".join([f"nano-{chip}", *options]), tools.NANO,
                           f"--target=cpu,{chip}", "--emulate", *options)


@tools.needs_compiler
class WholePlans(unittest.TestCase):
    def check_same_bits(self, chip, *options):
        """Graphs, streams and the step's block change nothing."""
        artifact = nano(chip, *options)
        tokens = goldens.nano_reference()["logits"]["prompt_ids"][:5]
        expected = decode.generate(artifact, tokens, 3, "--device=emulated")
        with fake_driver(artifact, chip):
            actual = decode.generate(artifact, tokens, 3, "--device=cuda")
        numpy.testing.assert_array_equal(actual.logits, expected.logits)
        self.assertEqual(actual.tokens, expected.tokens)

    def test_same_bits_sm_80_f32(self):
        self.check_same_bits("sm_80", "--numerics=f32")

    def test_same_bits_sm_90a_int8_fast(self):
        self.check_same_bits("sm_90a", "--weights=int8", "--numerics=fast")

    def test_errors_are_one_line(self):
        artifact = nano("sm_90a", "--weights=int8", "--numerics=fast")
        with fake_driver(artifact, "sm_80"):
            said = tools.refusal("grok-run", artifact, "--tokens=3", "--device=cuda")
        self.assertIn("the plan has code for sm_90a, which does not run on Fake GPU (sm_80)", said)
        with environment(GROK_CUDA_LIBRARY=""):
            said = tools.refusal("grok-run", artifact, "--tokens=3", "--device=cuda")
        self.assertIn("no NVIDIA driver", said)


def golden(model, *options, chip="sm_80"):
    return models.golden(model, "int8", "fast", f"--target={chip}", "--emulate", "--reproducible",
                         *options)


JOINED = "launch=service_exchange_norm"


@tools.needs_compiler
class SeveralGpus(unittest.TestCase):
    """Ranks with a GPU each: the logits of one, bit for bit."""

    def gpus(self, artifact, count, chip="sm_80", **values):
        return environment(**FAKE, FAKE_CUDA_PLAN=os.path.join(artifact, "model.plan"),
                           FAKE_CUDA_CAPABILITY=CHIPS[chip], FAKE_CUDA_DEVICES=str(count),
                           GROK_RANK_DEADLINE="60", **values)

    def feed_processes(self, artifact, tokens, chip="sm_80", **values):
        """Logits, exit codes and what was said."""
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "logits.npy")
            command = [tools.tool("grok-run"), artifact, "--device=cuda", "--max-new-tokens=0",
                       "--prefill-chunk=3", f"--tokens={','.join(map(str, tokens))}",
                       f"--logits-out={out}"]
            with self.gpus(artifact, 2, chip, **values):
                processes = [ranks.start(one) for one in ranks.commands(command, 2)]
            said = [one.communicate(timeout=ranks.HANG_SECONDS)[1] for one in processes]
            logits = numpy.load(out) if os.path.exists(out) else None
            return logits, [one.returncode for one in processes], said

    def check_processes(self, chip):
        """By kernels on windows that they share, those of norms apart, and through the host."""
        tokens = goldens.tokens("b4x2", "seq7")
        expected = decode.feed(golden("b4x2", "--sharding=tp1", chip=chip), tokens,
                               "--device=emulated")
        artifact = golden("b4x2", "--sharding=tp2", "--devices=2", chip=chip)
        for values in ({}, {"GROK_FUSED_EXCHANGE": "0", "FAKE_CUDA_FAIL": JOINED},
                       {"GROK_RANK_MEMORY": "private", "FAKE_CUDA_FAIL": JOINED}):
            logits, codes, said = self.feed_processes(artifact, tokens, chip, **values)
            self.assertEqual(codes, [0, 0], said)
            numpy.testing.assert_array_equal(logits, expected)
        # It was those kernels: when one fails, so does the step.
        for failing in (JOINED, "launch=service_exchange"):
            _, codes, said = self.feed_processes(artifact, tokens, chip, FAKE_CUDA_FAIL=failing)
            self.assertIn(1, codes)
            self.assertIn("CUDA_ERROR_LAUNCH_FAILED (as asked)", "".join(said))

    def test_processes(self):
        self.check_processes("sm_80")

    @unittest.skipUnless(os.environ.get("GROKC_FULL"), "with --param full=1")
    def test_processes_in_clusters(self):
        self.check_processes("sm_90a")

    def test_threads(self):
        """Experts and stages, through the host."""
        tokens = goldens.tokens("a6x1", "seq7")
        expected = decode.feed(golden("a6x1", "--sharding=tp1"), tokens, "--device=emulated")
        artifact = golden("a6x1", "--sharding=ep2.pp2", "--devices=4")
        with self.gpus(artifact, 4):
            actual = decode.feed(artifact, tokens, "--device=cuda", "--ranks=4")
        numpy.testing.assert_array_equal(actual, expected)
        with self.gpus(artifact, 3):
            said = tools.refusal("grok-run", artifact, "--tokens=3", "--device=cuda")
        self.assertIn("ranks 0 and 3 would share the GPU 0000:01:00.0", said)


@tools.needs_compiler
class Benchmark(unittest.TestCase):
    """benchmarks/gpu, at sizes that take seconds."""

    def setUp(self):
        self.scratch = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.scratch)
        self.folder = os.path.join(self.scratch, "folder")

    def script(self, name, *arguments, **values):
        with environment(**FAKE, FAKE_CUDA_CAPABILITY="8.0", **values):
            return subprocess.run([os.path.join(tools.ROOT, "benchmarks", "gpu", name), *arguments],
                                  capture_output=True, text=True, check=False)

    def prepare(self):
        done = self.script("prepare", tools.BUILD, self.folder, TINY="1", TARGETS="sm_80",
                           GROKC=tools.tool("grokc"), GROKC_FLAGS="--emulate")
        self.assertEqual(done.returncode, 0, done.stderr)
        for program in os.listdir(os.path.join(self.folder, "bin")):
            path = os.path.join(self.folder, "bin", program)
            os.remove(path)
            with open(path, "w", encoding="utf-8") as file:
                file.write(WRAPPER.format(program=tools.tool(program)))
            os.chmod(path, 0o755)

    def run_all(self):
        path = os.path.join(self.scratch, "result.json")
        done = self.script("run", "--quick", self.folder, path)
        with open(path, encoding="utf-8") as file:
            return done, json.load(file)

    def test_conforms_then_measures(self):
        self.prepare()
        done, result = self.run_all()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([check["passed"] for check in result["conformance"]], [True] * 6, result)
        self.assertEqual([run["name"] for run in result["runs"]],
                         ["nano-int8-decode", "nano-int8-kernels", "nano-int8-prefill-4",
                          "nano-int8-decode-without-graphs", "nano-int8-decode-persistent"])
        for run in result["runs"]:
            self.assertEqual(run["result"]["model"]["cpu_level"], "sm_80, Fake GPU")
        ops = result["runs"][1]["result"]["runs"][0]["explain"]["decode"]["ops"]
        self.assertIn("sample", [op["op"] for op in ops])
        # Then something is wrong: nothing is measured.
        expected = os.path.join(self.folder, "conformance", "a6x1-int8-f32", "expected.npy")
        numpy.save(expected, numpy.load(expected) + numpy.float32(1e-3))
        done, result = self.run_all()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(result["runs"], [])
        self.assertFalse(result["conformance"][0]["passed"])
        self.assertIn("with CUDA_LAUNCH_BLOCKING=1 fails", result["conformance"][0]["details"])


if __name__ == "__main__":
    unittest.main()
