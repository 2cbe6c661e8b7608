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
SECONDS_PER_RUN = 600


def tool(name):
    return os.path.join(BUILD, "bin", name)


def needs_compiler(case):
    """Skips a class of tests in a build of the runtime alone."""
    return unittest.skipUnless(os.path.exists(tool("grokc")), "no compiler in this build")(case)


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
