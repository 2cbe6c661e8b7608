# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The communicator of processes does all that the one of threads does."""
import os
import subprocess
import unittest

import ranks


class Checks:
    """What both ways to start processes are checked for."""
    mpi = False

    def holds(self, count, memory="shared"):
        outcome = ranks.run(count, "--conformance", mpi=self.mpi,
                            environment={"GROK_RANK_MEMORY": memory})
        self.assertEqual(set(outcome.codes), {0}, outcome)
        self.assertRegex(outcome.text, rf"\A[0-9]+ cases hold on {count} ranks\n\Z")
        self.assertEqual(outcome.leftovers, [], outcome)
        self.assertEqual(ranks.shared_memory_files(), set())

    def test_two_ranks(self):
        self.holds(2)

    def test_three_ranks(self):
        self.holds(3)

    def test_two_ranks_by_messages(self):
        self.holds(2, "private")

    def test_four_ranks_by_messages(self):
        self.holds(4, "private")

    def test_takes_what_was_asked_for(self):
        for memory, said in (("shared", "shared memory"), ("private", "messages")):
            outcome = ranks.run(2, "--steps=3", mpi=self.mpi,
                                environment={"GROK_RANK_MEMORY": memory})
            self.assertEqual(outcome.text, f"sum 5, {said}\n", outcome)


class BySockets(Checks, unittest.TestCase):
    def test_one_process(self):
        self.holds(1)

    # One rank that wants no shared memory is enough.
    def test_one_rank_without_shared_memory(self):
        job = ranks.RankJob(2, "--steps=3", environments=[{}, {"GROK_RANK_MEMORY": "private"}])
        outcome = job.outcome()
        self.assertEqual(outcome.text, "sum 5, messages\n", outcome)


@ranks.needs_mpi
class ByMpi(Checks, unittest.TestCase):
    mpi = True

    # Started by hand, a process is a job of its own for MPI: as with the mpirun
    # of another MPI.
    def test_mpirun_of_another_mpi(self):
        variables = {**os.environ, **ranks.MPI_ENVIRONMENT, "PMI_RANK": "0", "PMI_SIZE": "2"}
        done = subprocess.run([ranks.PROGRAM], env=variables, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("libgrok-mpi.so sees rank 0 of 1, mpirun started rank 0 of 2", done.stdout)


if __name__ == "__main__":
    unittest.main()
