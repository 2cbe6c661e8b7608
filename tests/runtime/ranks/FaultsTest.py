# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whatever happens to one rank, every process ends soon and says which and why."""
import signal
import socket
import subprocess
import time
import unittest

import random_kills
import ranks

# rank 1 of 3, how its own process ends, what the others say of it
FAULTS = {
    "kill": (-signal.SIGKILL, "its connection is closed"),
    "crash": (-signal.SIGSEGV, "its connection is closed"),
    "abort": (-signal.SIGABRT, "its connection is closed"),
    "exit": (0, "its connection is closed"),
    "stop": (-signal.SIGKILL, "is stopped or cannot be reached: nothing heard for 3 s"),
    "sleep": (3, 'is stuck in "layer 7 experts" for 6 s'),
    "input": (1, "cannot go on: weights.bin: wrong checksum"),
}


def connect(port):
    """A connection to the port, as soon as somebody listens there."""
    end = time.monotonic() + ranks.PROMISED_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class Faults(unittest.TestCase):
    def check_end(self, outcome):
        self.assertLess(outcome.seconds, ranks.PROMISED_SECONDS, outcome)
        self.assertEqual(outcome.leftovers, [], outcome)
        self.assertEqual(ranks.shared_memory_files(), set())

    def fault(self, name, victim=1):
        own_code, said = FAULTS[name]
        outcome = ranks.run(3, f"--fault={name}", f"--victim={victim}")
        self.check_end(outcome)
        expected = [3, 3, 3]
        expected[victim] = own_code
        self.assertEqual(outcome.codes, expected, outcome)
        lines = [line for line in outcome.text.splitlines() if f"rank {victim} (host " in line]
        self.assertGreaterEqual(len(lines), 2, outcome)
        for line in lines:
            self.assertTrue(line.startswith("rank-program: rank "), outcome)
            self.assertIn(said, line)

    def test_kill(self):
        self.fault("kill")

    def test_kill_the_leader(self):
        self.fault("kill", victim=0)

    def test_crash(self):
        self.fault("crash")

    def test_abort(self):
        self.fault("abort")

    def test_exit_without_a_word(self):
        self.fault("exit")

    def test_stop(self):
        self.fault("stop")

    def test_stop_the_leader(self):
        self.fault("stop", victim=0)

    def test_stuck_in_an_operation(self):
        self.fault("sleep")

    def test_stuck_leader(self):
        self.fault("sleep", victim=0)

    def test_bad_input_of_one(self):
        self.fault("input")

    def test_bad_input_of_the_leader(self):
        self.fault("input", victim=0)

    def test_kill_before_the_first_step(self):
        outcome = ranks.run(3, "--fault=kill", "--at=0")
        self.check_end(outcome)
        self.assertEqual(outcome.codes, [3, -signal.SIGKILL, 3], outcome)

    def test_closed_sockets(self):
        # Either end may notice first, and blames the other.
        outcome = ranks.run(3, "--fault=close")
        self.check_end(outcome)
        self.assertEqual(outcome.codes, [3, 3, 3], outcome)
        self.assertIn("its connection is closed", outcome.text)

    def test_messages_instead_of_shared_memory(self):
        outcome = ranks.run(3, "--fault=kill", environment={"GROK_RANK_MEMORY": "private"})
        self.check_end(outcome)
        self.assertEqual(outcome.codes, [3, -signal.SIGKILL, 3], outcome)
        self.assertIn("rank 1 (host ", outcome.text)

    def test_a_deadline_of_ones_own(self):
        outcome = ranks.run(2, "--fault=sleep", environment={"GROK_RANK_DEADLINE": "2"})
        self.check_end(outcome)
        self.assertIn('rank 1 (host', outcome.text)
        self.assertIn('is stuck in "layer 7 experts" for 1.5 s', outcome.text)


class Joining(unittest.TestCase):
    def refused(self, outcome, said):
        self.assertLess(outcome.seconds, ranks.PROMISED_SECONDS, outcome)
        self.assertEqual(set(outcome.codes), {1}, outcome)
        lines = outcome.text.splitlines()
        self.assertEqual(len(lines), len(outcome.codes), outcome)
        for line in lines:
            self.assertIn(said, line)

    def test_another_plan(self):
        self.refused(ranks.run(3, "--fault=differ", "--victim=2"), "rank 2 (host ")

    def test_two_of_one_number(self):
        self.refused(ranks.run(3, numbers=[(0, 3), (1, 3), (1, 3)]),
                     "two processes say that they are rank 1 (host ")

    def test_another_number_of_ranks(self):
        self.refused(ranks.run(2, numbers=[(0, 2), (1, 3)]),
                     "was started as one of 3 ranks, rank 0 as one of 2")

    # Whoever else finds the port is dropped, and holds up nobody for long.
    def test_strangers(self):
        job = ranks.RankJob(2, numbers=[(0, 2)], environment={"GROK_RANK_JOIN_TIME": "8"})
        strangers = []
        for said in (b"GET / HTTP/1.1\r\n\r\n" * 40, b"", b"\0" * 1000):
            strangers.append(connect(job.port))
            strangers[-1].sendall(said)
        other = subprocess.run([ranks.PROGRAM, "--rank=1", "--ranks=2",
                                f"--leader=127.0.0.1:{job.port}"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, check=False)
        outcome = job.outcome()
        for stranger in strangers:
            stranger.close()
        self.assertEqual((outcome.codes, other.returncode), ([0], 0), f"{outcome}{other.stdout}")
        self.assertEqual(outcome.text, "sum 39, shared memory\n")

    # Rank 1 gives up on its first connections, and rank 0 finds them all later.
    def test_leader_that_pauses(self):
        job = ranks.RankJob(2, numbers=[(0, 2)])
        connect(job.port).close()
        job.processes[0].send_signal(signal.SIGSTOP)
        other = subprocess.Popen([ranks.PROGRAM, "--rank=1", "--ranks=2",
                                  f"--leader=127.0.0.1:{job.port}"])
        time.sleep(5)
        job.processes[0].send_signal(signal.SIGCONT)
        outcome = job.outcome()
        self.assertEqual((outcome.codes, other.wait()), ([0], 0), outcome)

    def test_missing_rank(self):
        self.refused(ranks.run(3, numbers=[(0, 3), (2, 3)],
                               environment={"GROK_RANK_JOIN_TIME": "1"}),
                     "rank-program: rank 1 did not join within 1 s")

    def test_no_leader(self):
        self.refused(ranks.run(2, numbers=[(1, 2)], environment={"GROK_RANK_JOIN_TIME": "1"}),
                     "rank-program: rank 0 cannot be reached: 127.0.0.1:")

    def test_wrong_variables(self):
        for name, text in (("GROK_RANK_DEADLINE", "soon"), ("GROK_RANK_JOIN_TIME", "-1"),
                           ("GROK_RANK_MEMORY", "none")):
            outcome = ranks.run(1, environment={name: text})
            self.assertEqual(outcome.codes, [1], outcome)
            self.assertIn(f"{name}: '{text}', expected", outcome.text)


@ranks.needs_mpi
class FaultsUnderMpirun(unittest.TestCase):
    def fault(self, name, codes, said):
        outcome = ranks.run(3, f"--fault={name}", mpi=True)
        self.assertLess(outcome.seconds, ranks.PROMISED_SECONDS, outcome)
        self.assertEqual(outcome.leftovers, [], outcome)
        self.assertIn(outcome.codes[0], codes, outcome)
        self.assertRegex(outcome.text, said)

    # mpirun itself kills the others, before or after they could speak.
    def test_kill(self):
        self.fault("kill", [137], "rank 1 ")

    def test_stop(self):
        self.fault("stop", [3, 137], r"rank 1 \(host .*\) is stopped")

    def test_stuck(self):
        self.fault("sleep", [3], r"rank 1 \(host .*\) is stuck in \"layer 7 experts\"")

    def test_another_plan(self):
        self.fault("differ", [1], r"rank 1 \(host .*\) has another plan")

    # MPI's own start waits for every rank, and knows no time limit.
    def test_stop_before_mpi_starts(self):
        stop_one = 'test "$OMPI_COMM_WORLD_RANK" != 1 || kill -STOP $$; exec "$0" "$@"'
        outcome = ranks.run(3, "-c", stop_one, ranks.PROGRAM, program="/bin/sh", mpi=True,
                            environment={"GROK_RANK_JOIN_TIME": "3"})
        self.assertLess(outcome.seconds, ranks.PROMISED_SECONDS, outcome)
        self.assertEqual((outcome.codes, outcome.leftovers), ([1], []), outcome)
        self.assertIn("rank-program: MPI does not start: it waits for a rank in vain", outcome.text)


class RandomKills(unittest.TestCase):
    def test_a_few(self):
        for seed in range(4):
            problem = random_kills.kill_once(seed, ranks_of_job=3, mpi=False)
            self.assertIsNone(problem)


if __name__ == "__main__":
    unittest.main()
