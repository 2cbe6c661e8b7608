#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kills ranks at random moments and says when a job did not end as promised.

usage: random_kills.py KILLS [RANKS] [--mpi]      from the root of the tree
GROKC_BUILD names the build folder. Exit status 1 if any job hung, left a
process behind or did not name the rank.
"""
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../harness"))
import ranks

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV)
# A rank that dies before it joins is missed only when the joining must be over.
JOIN_SECONDS = 6


def rank_of(pid, job):
    """Which rank a process is, from what it was started with; None under mpirun."""
    for number, process in enumerate(job.processes):
        if process.pid == pid:
            return number
    return None


def kill_once(seed, ranks_of_job, mpi):
    """One job, one kill. None, or what went wrong."""
    chance = random.Random(seed)
    job = ranks.RankJob(ranks_of_job, "--steps=1000000", "--pause=200", mpi=mpi, environment={
        "GROK_RANK_JOIN_TIME": str(JOIN_SECONDS),
        "GROK_RANK_MEMORY": chance.choice(["shared", "private"])})
    time.sleep(chance.choice([0.02, 0.2, 1.0]) * chance.random() + (0.5 if mpi else 0))
    alive = job.ranks_alive()
    while not alive and job.processes[0].poll() is None:  # mpirun takes its time
        alive = job.ranks_alive()
    if not alive:
        return f"seed {seed}: the job ended by itself\n{job.outcome()}"
    victim = chance.choice(alive)
    number = rank_of(victim, job)
    blow = chance.choice(SIGNALS)
    os.kill(victim, blow)
    job.start = time.monotonic()
    outcome = job.outcome(stopped=victim)
    what = f"seed {seed}: {blow.name} of rank {number}: "
    if outcome.seconds > ranks.PROMISED_SECONDS:
        return f"{what}too late\n{outcome}"
    if outcome.leftovers or ranks.shared_memory_files():
        return f"{what}something is left\n{outcome}"
    others = [code for rank, code in enumerate(outcome.codes) if rank != number]
    # mpirun has codes of its own; it was seen to crash after all ranks were gone.
    if any(code == 0 if mpi else code not in (1, 3) for code in others):
        return f"{what}wrong exit codes\n{outcome}"
    if f"rank {number} " not in outcome.text and number is not None:
        return f"{what}the rank is not named\n{outcome}"
    return None


def main(arguments):
    mpi = "--mpi" in arguments
    numbers = [int(word) for word in arguments if word.isdigit()]
    kills, ranks_of_job = numbers[0], (numbers + [3])[1]
    problems, longest = 0, 0.0
    for seed in range(kills):
        start = time.monotonic()
        problem = kill_once(seed, ranks_of_job, mpi)
        longest = max(longest, time.monotonic() - start)
        if problem:
            problems += 1
            print(problem, flush=True)
    print(f"{kills} kills of {ranks_of_job} ranks{' under mpirun' if mpi else ''}: {problems} "
          f"problems, longest job {longest:.1f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
