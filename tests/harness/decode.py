# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""grok-run as a function from tokens or prompts to logits, tokens and text."""
import glob
import os
import tempfile
from dataclasses import dataclass

import numpy

import tools


@dataclass
class Decoded:
    """What one sequence of a run gave."""

    logits: numpy.ndarray  # float32 [positions fed, vocabulary]
    output: str  # all of standard output

    @property
    def tokens(self):
        """The new ids; only of a run with --print-tokens."""
        last = self.output.rstrip("\n").split("\n")[-1]
        return [int(token) for token in last.split(",")] if last else []


def feed(artifact, tokens, *options):
    """Logits of every position of `tokens`, no new token."""
    return generate(artifact, tokens, 0, *options).logits


def generate(artifact, tokens, count, *options):
    """Feeds `tokens`, then decodes `count` new ones."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "logits.npy")
        text = tools.succeed("grok-run", artifact, "--tokens", ",".join(map(str, tokens)),
                             "--max-new-tokens", count, "--print-tokens", "--logits-out", out,
                             *options)
        return Decoded(numpy.load(out), text)


def prompts(artifact, lines, count, *options):
    """Decodes all prompts in one batch; the logits of each, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "prompts.txt")
        with open(source, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        out = os.path.join(folder, "logits.npy")
        tools.succeed("grok-run", artifact, "--prompts", source, "--max-new-tokens", count,
                      "--logits-out", out, *options)
        names = {number: f"{out}.{number}" for number in range(len(lines))}
        if len(glob.glob(out + ".*")) != len(lines):
            raise AssertionError(f"expected {len(lines)} files of logits: {os.listdir(folder)}")
        return [numpy.load(names[number]) for number in range(len(lines))]
