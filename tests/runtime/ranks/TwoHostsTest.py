# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ranks on several hosts: network namespaces of one machine stand for them."""
import os
import subprocess
import time
import unittest

import ranks
import tools

SCRIPT = os.path.join(tools.ROOT, "tests", "harness", "two-hosts.sh")
NETWORK = "10.77.0.0/24"
LEADER = "--leader=10.77.0.1:29400"


def allowed():
    return subprocess.run([SCRIPT, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode != 77


def on_two_hosts(shell_lines):
    """Runs the lines on a machine beside host1 and host2; (exit code, text, seconds)."""
    start = time.monotonic()
    done = subprocess.run([SCRIPT, "bash", "-c", shell_lines], text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={**os.environ, **ranks.MPI_ENVIRONMENT}, timeout=ranks.HANG_SECONDS)
    return done.returncode, done.stdout, time.monotonic() - start


def mpirun(count, arguments):
    return (f"mpirun --mca plm_rsh_agent '{SCRIPT} --on' --host host1:4,host2:4 -n {count} "
            f"--map-by node --bind-to none --mca pml ob1 --mca btl self,vader,tcp "
            f"--mca btl_vader_single_copy_mechanism none --mca btl_tcp_if_include {NETWORK} "
            f"--mca oob_tcp_if_include {NETWORK} -x GROK_MPI_LIBRARY "
            f"{ranks.PROGRAM} {arguments}")


def by_hand(arguments, then=""):
    """A rank on each host; prints `rank code` for both."""
    return "\n".join([
        f"{SCRIPT} --on host1 {ranks.PROGRAM} --rank=0 --ranks=2 {LEADER} {arguments} & first=$!",
        f"{SCRIPT} --on host2 {ranks.PROGRAM} --rank=1 --ranks=2 {LEADER} {arguments} & second=$!",
        then, "wait $first; echo 0 $?; wait $second; echo 1 $?"])


@unittest.skipUnless(allowed(), "this machine allows no network namespaces")
class BySockets(unittest.TestCase):
    def test_conformance(self):
        _, text, _ = on_two_hosts(by_hand("--conformance"))
        self.assertRegex(text, r"cases hold on 2 ranks")
        self.assertTrue(text.endswith("0 0\n1 0\n"), text)

    def test_hosts_share_no_memory(self):
        _, text, _ = on_two_hosts(by_hand("--steps=3"))
        self.assertEqual(text, "sum 5, messages\n0 0\n1 0\n")

    # Nobody dies and no connection closes: the other host is just not there.
    def test_cut_network(self):
        _, text, seconds = on_two_hosts(
            by_hand("--steps=1000000", then=f"sleep 1; {SCRIPT} --cut host2"))
        self.assertLess(seconds, ranks.PROMISED_SECONDS + 1, text)
        self.assertTrue(text.endswith("0 3\n1 3\n"), text)
        for rank in (0, 1):
            self.assertIn(f"rank-program: rank {rank} (host host{rank + 1}) is stopped or cannot "
                          "be reached: nothing heard for 3 s", text)

    def test_kill(self):
        _, text, seconds = on_two_hosts(by_hand("--fault=kill"))
        self.assertLess(seconds, ranks.PROMISED_SECONDS, text)
        self.assertIn("rank-program: rank 1 (host host2) ended: its connection is closed", text)
        self.assertIn("0 3\n", text)


@ranks.needs_mpi
@unittest.skipUnless(allowed(), "this machine allows no network namespaces")
class ByMpi(unittest.TestCase):
    def test_conformance(self):
        code, text, _ = on_two_hosts(mpirun(4, "--conformance"))
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"cases hold on 4 ranks")

    def test_hosts_share_no_memory(self):
        code, text, _ = on_two_hosts(mpirun(2, "--steps=3"))
        self.assertEqual(code, 0, text)
        self.assertIn("sum 5, messages\n", text)  # mpirun may warn of this and that

    def test_kill(self):
        code, text, seconds = on_two_hosts(mpirun(4, "--fault=kill"))
        self.assertNotEqual(code, 0, text)
        self.assertLess(seconds, ranks.PROMISED_SECONDS, text)
        self.assertIn("rank 1 ", text)


if __name__ == "__main__":
    unittest.main()
