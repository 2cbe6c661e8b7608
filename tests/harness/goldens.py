# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The golden sets of tests/inputs and the examples' reference, as arrays."""
import functools
import json
import os

import numpy

import tools

SETS = ("a6x1", "b4x2")
WEIGHTS = ("float", "int8")
SEQUENCES = ("seq1", "seq7", "seq33", "seq130")


def read_json(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


@functools.cache
def tokens(model, sequence):
    return read_json(tools.INPUTS, model, "tokens.json")[sequence]


def logits(model, weights, numerics, how, sequence):
    """float32 [positions, vocabulary] of the reference."""
    name = f"{weights}.{numerics}.{how}.{sequence}.npy"
    return numpy.load(os.path.join(tools.INPUTS, model, "logits", name))


def greedy_run(model, weights, numerics):
    """The reference's 16 greedy tokens after prompt9, with the gaps to the runners-up."""
    return read_json(tools.INPUTS, model, "greedy.json")[f"{weights}.{numerics}.prompt9"]


@functools.cache
def nano_reference():
    return read_json(tools.NANO, "reference.json")
