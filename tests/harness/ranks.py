# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Jobs of several processes: started by hand or by mpirun, watched to their end."""
import glob
import os
import shutil
import signal
import socket
import subprocess
import time
import unittest
import uuid

import tools

PROGRAM = os.path.join(tools.BUILD, "tests", "bin", "rank-program")
MPI_LIBRARY = os.path.join(tools.BUILD, "lib", "libgrok-mpi.so")
PROMISED_SECONDS = 10  # from a fault to the end of every process
HANG_SECONDS = 120

# One machine, any user, any number of processors.
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none", "--mca", "pml", "ob1",
          "--mca", "btl", "self,vader", "--mca", "btl_vader_single_copy_mechanism", "none"]
MPI_ENVIRONMENT = {"GROK_MPI_LIBRARY": MPI_LIBRARY, "OMPI_ALLOW_RUN_AS_ROOT": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def needs_mpi(case):
    """Skips where mpirun, or what was built against its header, is missing."""
    if not shutil.which("mpirun"):
        return unittest.skip("no mpirun on this machine")(case)
    return unittest.skipUnless(os.path.exists(MPI_LIBRARY), "no MPI in this build")(case)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def commands(command, ranks, mpi=False, port=None, numbers=None):
    """What starts a job of `ranks` processes of `command`: by hand a command for each rank,
    by mpirun one. `numbers` are pairs of --rank and --ranks where they shall be wrong."""
    if mpi:
        return [MPIRUN + ["-n", str(ranks)] + command]
    leader = f"--leader=127.0.0.1:{port or free_port()}"
    return [command + [f"--rank={rank}", f"--ranks={count}", leader]
            for rank, count in numbers or [(rank, ranks) for rank in range(ranks)]]


def start(command, stderr=subprocess.PIPE, **environment):
    return subprocess.Popen(command, env={**os.environ, **MPI_ENVIRONMENT, **environment},
                            stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace")


def shared_memory_files():
    return {path for path in glob.glob("/dev/shm/*") if "grok" in os.path.basename(path)}


class Outcome:
    """How a job ended: exit codes by rank (mpirun: one), all that was printed."""

    def __init__(self, codes, text, seconds, leftovers):
        self.codes, self.text, self.seconds, self.leftovers = codes, text, seconds, leftovers

    def __str__(self):
        return f"codes {self.codes} after {self.seconds:.1f} s, left {self.leftovers}\n{self.text}"


class RankJob:
    """A running job. `arguments` are for each rank, `environments` one for each,
    `numbers` as in `commands`."""

    def __init__(self, ranks, *arguments, program=PROGRAM, mpi=False, environment=None,
                 environments=None, numbers=None):
        self.tag = uuid.uuid4().hex
        command = [program, *map(str, arguments), f"--tag={self.tag}"]
        self.port = free_port()
        job = commands(command, ranks, mpi, self.port, numbers)
        self.start = time.monotonic()
        self.processes = [
            start(one, subprocess.STDOUT, **more)
            for one, more in zip(job, environments or [environment or {}] * len(job))]

    def ranks_alive(self):
        """Process numbers of ranks, by our tag; mpirun and its like have it too."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue  # it ended meanwhile
            if words[0].endswith(b"rank-program") and f"--tag={self.tag}".encode() in words:
                found.append(int(path.split("/")[2]))
        return sorted(found)

    def outcome(self, stopped=None):
        """Waits for the end of all. Nobody can end a process that was `stopped` before
        the others knew it: it goes on when they are gone, and must end by itself."""
        texts, seconds = [], 0
        try:
            for process in sorted(self.processes, key=lambda process: process.pid == stopped):
                if process.pid == stopped and process.poll() is None:
                    seconds = time.monotonic() - self.start
                    process.send_signal(signal.SIGCONT)
                    self.start = time.monotonic()
                texts.append(process.communicate(timeout=HANG_SECONDS)[0])
        finally:
            for process in self.processes:
                process.kill()
        seconds = max(seconds, time.monotonic() - self.start)
        return Outcome([process.returncode for process in self.processes], "".join(texts), seconds,
                       self.ranks_alive())


def run(ranks, *arguments, **options):
    return RankJob(ranks, *arguments, **options).outcome()
