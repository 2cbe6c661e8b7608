# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole plans for GPUs, run without one: the kernels that become PTX, emulated
thread by thread, on the goldens and on the trained model.

With `--param full=1` every sequence, way of feeding and schedule; otherwise one of
each, since a token costs the emulator about as much as a second of a GPU.
"""
import glob
import itertools
import json
import os
import tempfile
import unittest

import numpy

import decode
import goldens
import models
import tools

FULL = bool(os.environ.get("GROKC_FULL"))
CHIPS = ("sm_80", "sm_90a", "sm_100a") if FULL else ("sm_80", "sm_90a")
SEQUENCES = (*goldens.SEQUENCES, "pad7") if FULL else ("seq7",)
# In order, any lane of any warp, one warp as far as it gets.
SCHEDULES = ("schedule=in-order", "schedule=random,seed=3,blocks=3", "schedule=greedy,seed=5,blocks=1")
CHUNKS = {"whole": [], "in_chunks_of_5": ["--prefill-chunk", 5], "one_by_one": ["--prefill-chunk", 1]}

F32_BOUND = 2e-4  # absolute, on every logit
# Of fused code that keeps more precision than the literal roundings, against f32:
# tests/inputs/README.md, the columns "bf16-f32 rms" and the 99th percentiles.
FAST_RMS = {("a6x1", "float"): 0.0815, ("a6x1", "int8"): 0.0757, ("b4x2", "float"): 0.1388,
            ("b4x2", "int8"): 0.1372}
FAST_P99 = {"a6x1": 0.28, "b4x2": 0.45}


def golden(model, weights, numerics, chip):
    return models.golden(model, weights, numerics, f"--target={chip}", "--emulate")


def nano(chip, *options):
    name = "".join([f"nano-{chip}", *options])
    return models.compiled(name, tools.NANO, f"--target=cpu,{chip}", "--emulate", *options)


class emulated:
    """GROK_EMULATOR for the runs inside."""

    def __init__(self, schedule):
        self.schedule = schedule

    def __enter__(self):
        os.environ["GROK_EMULATOR"] = self.schedule

    def __exit__(self, *_):
        del os.environ["GROK_EMULATOR"]


def feed(artifact, tokens, *options, schedule=SCHEDULES[0]):
    with emulated(schedule):
        return decode.feed(artifact, tokens, "--device=emulated", *options)


@tools.needs_compiler
class Goldens(unittest.TestCase):
    def expected(self, model, weights, sequence, chunks):
        how = "decode" if chunks == "one_by_one" and sequence != "pad7" else "prefill"
        return goldens.logits(model, weights, "f32", how, sequence)

    def check_f32(self, model, weights, chip, chunks, schedule):
        for sequence in SEQUENCES:
            with self.subTest(sequence):
                actual = feed(golden(model, weights, "f32", chip), goldens.tokens(model, sequence),
                              *CHUNKS[chunks], schedule=schedule)
                expected = self.expected(model, weights, sequence, chunks)
                self.assertEqual(actual.shape, expected.shape)
                self.assertLessEqual(numpy.abs(actual - expected).max(), F32_BOUND)

    def check_fast(self, model, weights, chip, chunks, schedule):
        for sequence in SEQUENCES:
            with self.subTest(sequence):
                tokens = goldens.tokens(model, sequence)
                actual = feed(golden(model, weights, "fast", chip), tokens, *CHUNKS[chunks],
                              schedule=schedule)
                difference = numpy.abs(actual - self.expected(model, weights, sequence, chunks))
                rms, tail = numpy.sqrt(numpy.mean(difference**2)), numpy.percentile(difference, 99)
                print(f"{model} {weights} {sequence} {chip}: rms {rms:.4f}, 99 % {tail:.3f}")
                self.assertLessEqual(rms, FAST_RMS[model, weights])
                self.assertLessEqual(tail, FAST_P99[model])

    def check_bits_of_cpu(self, model, chip, *options):
        """A float32 cache, so that attention is not on tensor cores: sums of integers are
        exact, and all others in the CPU's order."""
        options = ("--kv=f32", *options)
        one = models.golden(model, "int8", "fast", f"--target={chip}", "--emulate", *options)
        cpu = models.golden(model, "int8", "fast", *options)
        for sequence in SEQUENCES:
            with self.subTest(sequence):
                tokens = goldens.tokens(model, sequence)
                numpy.testing.assert_array_equal(feed(one, tokens), decode.feed(cpu, tokens))

    def check_same_bits(self, model, chip):
        """Whatever the grid, the schedule and the chunks."""
        artifact = golden(model, "int8", "fast", chip)
        tokens = goldens.tokens(model, "seq33" if FULL else "seq7")
        one = feed(artifact, tokens)
        for schedule in SCHEDULES[1:]:
            numpy.testing.assert_array_equal(feed(artifact, tokens, schedule=schedule), one)
        for options in (["--prefill-chunk", 3], ["--prefill-chunk", 1]):
            numpy.testing.assert_array_equal(feed(artifact, tokens, *options), one)


@tools.needs_compiler
class Nano(unittest.TestCase):
    def check_greedy(self, chip):
        """Readable, and the tokens of the CPU in float32, which are the reference's."""
        reference = goldens.nano_reference()["greedy"]["continuations"][0]
        count = len(reference["continuation_ids"]) if FULL else 12
        expected = reference["continuation_ids"][:count]
        with emulated(SCHEDULES[0]):
            run = decode.generate(nano(chip, "--numerics=f32"), reference["prompt_ids"], count,
                                  "--device=emulated")
        self.assertEqual(run.tokens, expected)

    def tokens(self):
        tokens = goldens.nano_reference()["logits"]["prompt_ids"]
        return tokens if FULL else tokens[:9]

    def check_float32(self, chip, *options):
        """Against the CPU on the same artifact, which --verify holds to the interpreter."""
        artifact, tokens = nano(chip, *options, "--numerics=f32"), self.tokens()
        difference = numpy.abs(feed(artifact, tokens) - decode.feed(artifact, tokens))
        self.assertLessEqual(difference.max(), F32_BOUND)

    def check_bits_of_cpu(self, chip, tokens, *options):
        """As Goldens.check_bits_of_cpu."""
        artifact = nano(chip, *options, "--kv=f32")
        numpy.testing.assert_array_equal(feed(artifact, tokens),
                                         decode.feed(artifact, tokens, "--device=cpu"))

    def exact(self, tokens, *options):
        return decode.feed(models.compiled("".join(["nano-exact", *options]), tools.NANO,
                                           "--numerics=f32", *options), tokens)

    def check_fast(self, chip, tokens, *options, cache=()):
        """Closer to float32 with the same weights and cache than the literal roundings to
        bfloat16 of the released model are to it: at some positions these, too, choose
        other experts. Rounded before they become codes of a cache, keys and values may get
        the next ones: no more than what all of these change."""
        off = feed(nano(chip, *options, *cache), tokens) - self.exact(tokens, *options, *cache)
        plain = self.exact(tokens)
        scatter = [decode.feed(models.nano("bf16"), tokens) - plain]
        if cache:
            scatter.append(self.exact(tokens, *cache) - plain)

        def rms(difference):
            return numpy.sqrt(numpy.mean(difference**2))

        def tail(difference):
            return numpy.percentile(numpy.abs(difference), 99)

        self.assertLessEqual(rms(off), sum(map(rms, scatter)))
        self.assertLessEqual(tail(off), sum(map(tail, scatter)))

    def check_format(self, chip, *options):
        self.check_bits_of_cpu(chip, self.tokens(), *options)
        self.check_fast(chip, self.tokens(), *options)

    def check_cache(self, chip, cache):
        self.check_float32(chip, cache)
        self.check_fast(chip, self.tokens(), cache=(cache,))

    def check_many_rows(self, chip, *options):
        """A prompt in one step that is more than a chunk of the kernels for many rows."""
        ids = goldens.nano_reference()["logits"]["prompt_ids"]
        tokens = [*itertools.islice(itertools.cycle(ids), 90)]
        self.check_bits_of_cpu(chip, tokens, *options)
        self.check_fast(chip, tokens, *options)


@tools.needs_compiler
class Plans(unittest.TestCase):
    def test_shows_and_extracts_what_was_compiled(self):
        artifact = nano("sm_80")
        shown = json.loads(tools.succeed("grok-plan", "show", artifact, "--json"))
        (code,) = shown["gpu_code"]
        self.assertEqual(code["chip"], "sm_80")
        self.assertEqual([kernel["symbol"] for kernel in code["kernels"]],
                         [kernel["symbol"] for kernel in shown["kernels"]])
        self.assertGreater(code["emulation_bytes"], 0)

    def test_tensor_cores_attend(self):
        """In the fast mode, unless keys and values are float32."""
        for options, instruction in (((), "mma.sync"), (("--kv=f32",), "fma.rn")):
            with tempfile.TemporaryDirectory() as folder:
                tools.succeed("grok-plan", "extract", nano("sm_80", *options), folder)
                codes = []
                for path in glob.glob(os.path.join(folder, "*attention*.ptx")):
                    with open(path, encoding="ascii") as file:
                        codes.append(file.read())
            self.assertEqual(len(codes), 2)  # of one row, and of more
            for code in codes:
                self.assertIn(instruction, code)
                self.assertEqual("mma.sync" in code, instruction == "mma.sync")

    def test_two_devices_say_what_one_says(self):
        """Bit for bit: --reproducible, and collectives between the launches."""
        tokens = goldens.tokens("b4x2", "seq7")
        one = golden("b4x2", "int8", "fast", "sm_80")
        two = models.golden("b4x2", "int8", "fast", "--target=sm_80", "--emulate",
                            "--sharding=tp2", "--devices=2", "--reproducible")
        with emulated(SCHEDULES[0]):
            expected = decode.feed(one, tokens, "--device=emulated")
            actual = decode.feed(two, tokens, "--device=emulated", "--ranks=2")
        numpy.testing.assert_array_equal(actual, expected)

    def test_names_what_is_missing(self):
        said = tools.refusal("grok-run", models.nano(), "--tokens=3", "--device=emulated")
        self.assertIn("--emulate", said)


def add_case(case, name, check, *arguments):
    setattr(case, name, lambda self: check(self, *arguments))


def add_cases():
    chunks = CHUNKS if FULL else ("whole", "one_by_one")
    schedules = SCHEDULES if FULL else SCHEDULES[:1]
    for chip in CHIPS:
        for model, weights in FAST_RMS:
            for how in chunks:
                for number, schedule in enumerate(schedules):
                    name = f"{chip}_{model}_{weights}_{how}_{number}"
                    add_case(Goldens, f"test_f32_{name}", Goldens.check_f32, model, weights, chip,
                             how, schedule)
                    add_case(Goldens, f"test_fast_{name}", Goldens.check_fast, model, weights, chip,
                             how, schedule)
        for model in goldens.SETS:
            add_case(Goldens, f"test_same_bits_{chip}_{model}", Goldens.check_same_bits, model, chip)
            for bits in (8, 15):
                add_case(Goldens, f"test_bits_of_cpu_{chip}_{model}_{bits}",
                         Goldens.check_bits_of_cpu, model, chip, f"--activation-bits={bits}")
        add_case(Nano, f"test_greedy_{chip}", Nano.check_greedy, chip)
        for weights in ("int8", "int4", "int3"):
            add_case(Nano, f"test_{weights}_fast_{chip}", Nano.check_format, chip,
                     f"--weights={weights}")
            add_case(Nano, f"test_{weights}_f32_{chip}", Nano.check_float32, chip,
                     f"--weights={weights}")
        for kv in ("int8", "fp8"):
            add_case(Nano, f"test_kv_{kv}_{chip}", Nano.check_cache, chip, f"--kv={kv}")
    for chip in ("sm_90a", "sm_100a"):
        add_case(Nano, f"test_many_rows_{chip}", Nano.check_many_rows, chip, "--weights=int4")


add_cases()

if __name__ == "__main__":
    unittest.main()
