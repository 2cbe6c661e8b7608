# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled models shared by all tests: each is compiled once per compiler."""
import contextlib
import fcntl
import functools
import hashlib
import os
import shutil

import tools


@functools.cache
def compiler_digest():
    """Twelve digits that change with grokc: old artifacts are never reused."""
    with open(tools.tool("grokc"), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:12]


def artifacts_folder():
    parent = os.path.join(tools.SCRATCH, "artifacts")
    folder = os.path.join(parent, compiler_digest())
    if not os.path.isdir(folder):
        os.makedirs(folder, exist_ok=True)
        for other in os.listdir(parent):
            if other != compiler_digest():
                shutil.rmtree(os.path.join(parent, other), ignore_errors=True)
    return folder


@contextlib.contextmanager
def locked(name):
    """Tests run side by side; the first compiles, the others wait for it."""
    with open(os.path.join(artifacts_folder(), name + ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compiled(name, *arguments):
    """The artifact folder of `grokc ARGUMENTS`; `name` is unique to them."""
    folder = os.path.join(artifacts_folder(), name)
    with locked(name):
        if not os.path.isdir(folder):
            tools.succeed("grokc", *arguments, "-o", folder)
    return folder


def golden(model, weights, numerics="f32", *options):
    """A golden set: model a6x1 or b4x2; weights float or int8."""
    source = os.path.join(tools.INPUTS, model)
    name = "".join([f"{model}-{weights}-{numerics}", *options])
    return compiled(name, source, f"--weights-from={os.path.join(source, weights)}",
                    f"--numerics={numerics}", *options)


def nano(numerics="f32"):
    """The trained model of examples/."""
    return compiled(f"nano-{numerics}", tools.NANO, f"--numerics={numerics}")
