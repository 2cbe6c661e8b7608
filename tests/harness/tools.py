# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Running the project's tools, and the folders that tests work in."""
import os
import subprocess
import unittest

ROOT = os.environ.get("GROKC_ROOT") or os.path.abspath(os.path.join(__file__, "../../.."))
BUILD = os.environ.get("GROKC_BUILD") or os.path.join(ROOT, "build")
INPUTS = os.path.join(ROOT, "tests", "inputs")
NANO = os.path.join(ROOT, "examples", "grok-nano")
SCRATCH = os.path.join(BUILD, "tests", "lit")
RUNTIME = os.path.join(BUILD, "lib", "libgrok_runtime.so")
SECONDS_PER_RUN = 600


def tool(name):
    return os.path.join(BUILD, "bin", name)


def has_compiler():
    """What the build was configured to have: a grokc that is missing must fail."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
        return "GROKC_BUILD_COMPILER:BOOL=ON\n" in cache


def needs_compiler(case):
    """Skips a class of tests in a build of the runtime alone."""
    return unittest.skipUnless(has_compiler(), "no compiler in this build")(case)


def run(name, *arguments, **options):
    """Runs a tool of the build folder; standard output and error are text."""
    return subprocess.run([tool(name), *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace",
                          timeout=SECONDS_PER_RUN, check=False, **options)


def succeed(name, *arguments, **options):
    """Runs a tool that must end with status 0; returns its standard output."""
    done = run(name, *arguments, **options)
    if done.returncode != 0:
        command = " ".join([name, *map(str, arguments)])
        raise AssertionError(f"{command}\nstatus {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def refusal(name, *arguments, **options):
    """Runs a tool that must refuse its input: status 1 and one line, which is returned."""
    done = run(name, *arguments, **options)
    told = done.stderr.splitlines()
    if done.returncode != 1 or len(told) != 1 or not told[0].startswith(name + ": "):
        command = " ".join([name, *map(str, arguments)])
        raise AssertionError(f"{command}\nexpected status 1 and one line '{name}: ...', got status "
                             f"{done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return told[0]
