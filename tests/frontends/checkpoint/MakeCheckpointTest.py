# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""tests/inputs/make_checkpoint.py writes the true format, and what our reader takes."""
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import checkpoint
import tools

sys.path.insert(0, tools.INPUTS)
import make_checkpoint

SCRIPT = os.path.join(tools.INPUTS, "make_checkpoint.py")
CONFIG = os.path.join(tools.INPUTS, "b4x2", "config.json")


def make(folder, *options):
    subprocess.run([sys.executable, SCRIPT, folder, "--config", CONFIG, *options], check=True)


def files_in(folder):
    checkpoint_folder = os.path.join(folder, "ckpt-0")
    return [os.path.join(checkpoint_folder, name) for name in sorted(os.listdir(checkpoint_folder))]


def size_of(name, shape, groups):
    """Bytes of the file of an int8 leaf, its data left out while writing."""
    pieces = [piece if isinstance(piece, bytes) else (piece[0], piece[1], [])
              for piece in make_checkpoint.pieces_of(name, shape, groups, make_checkpoint.GROK_1,
                                                     True, 0)]
    out = io.BytesIO()
    make_checkpoint.write_pickle(out, pieces)
    return len(out.getvalue()) + sum(piece[1] for piece in pieces if not isinstance(piece, bytes))


class MakeCheckpoint(unittest.TestCase):
    def test_files_are_as_pickle_writes_them(self):
        for form in "--int8", "--float":
            with tempfile.TemporaryDirectory() as folder:
                make(folder, form)
                for path in files_in(folder):
                    with self.subTest(path), open(path, "rb") as file:
                        self.assertEqual(checkpoint.leaf_bytes(checkpoint.read_leaf(path)),
                                         file.read())

    def test_tensors_are_those_of_the_goldens(self):
        with open(CONFIG) as file:
            config = json.load(file)
        with open(os.path.join(tools.INPUTS, "b4x2", "tensor_index.json")) as file:
            index = json.load(file)
        leaves = make_checkpoint.leaves(config)
        self.assertEqual([leaf[0] for leaf in leaves], [entry["path"] for entry in index])
        self.assertEqual([list(leaf[1]) for leaf in leaves], [entry["shape"] for entry in index])

    def test_real_files_have_the_real_sizes(self):
        # Specification section 6: the first three were seen by others, the rest follow.
        leaves = make_checkpoint.leaves(make_checkpoint.GROK_1)
        sizes = [size_of(*leaf) for leaf in leaves]
        self.assertEqual(sizes[2:14], [1611137347, 1611399491, 1611137347, 6293814, 37847359,
                                       37761334, 6293814, 24727, 24727, 24727, 24727, 196770])
        self.assertEqual(sizes[0], 3221225637)
        self.assertEqual(sum(sizes), 318239886140)
        self.assertIn("decoder_layer_10/moe/linear/w", leaves[26][0])

    def test_same_seed_gives_same_bytes(self):
        def contents(*options):
            with tempfile.TemporaryDirectory() as folder:
                make(folder, *options)
                return [open(path, "rb").read() for path in files_in(folder)]

        self.assertEqual(contents(), contents("--seed", "0"))
        self.assertNotEqual(contents(), contents("--seed", "1"))

    def test_large_tensors_are_made_in_pieces(self):
        chunks = list(make_checkpoint.float_chunks(700000, "float32", 0.5, "seed"))
        self.assertGreater(len(chunks), 1)
        values = memoryview(b"".join(chunks)).cast("f")
        self.assertEqual(len(values), 700000)
        rms = math.sqrt(math.fsum(value * value for value in values) / len(values))
        self.assertTrue(0.25 < rms < 1, rms)

    @tools.needs_compiler
    def test_compiler_reads_it(self):
        for form in "--int8", "--float":
            with tempfile.TemporaryDirectory() as folder:
                make(os.path.join(folder, "model"), form, "--num-layers", "11")
                tools.succeed("grokc", os.path.join(folder, "model"), "-o",
                              os.path.join(folder, "artifact"))


if __name__ == "__main__":
    unittest.main()
