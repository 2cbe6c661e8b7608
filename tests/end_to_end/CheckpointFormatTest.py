# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tests' own writer of checkpoints makes the very bytes of the real writer,
so what the other tests build with it is a checkpoint and not our idea of one.
"""
import glob
import os
import unittest

import checkpoint
import tools


class CheckpointFormat(unittest.TestCase):
    def test_every_leaf_is_reproduced(self):
        paths = glob.glob(os.path.join(tools.INPUTS, "*", "*", "ckpt-0", "*"))
        paths += glob.glob(os.path.join(tools.NANO, "ckpt-0", "*"))
        self.assertGreater(len(paths), 100)
        for path in paths:
            with self.subTest(path), open(path, "rb") as file:
                self.assertEqual(checkpoint.leaf_bytes(checkpoint.read_leaf(path)), file.read())


if __name__ == "__main__":
    unittest.main()
