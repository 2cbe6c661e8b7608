# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""grokc refuses damaged models: status 1, one line that names the culprit, and
nothing left behind.
"""
import json
import os
import shutil
import struct
import tempfile
import unittest

import checkpoint
import tools

SOURCE = os.path.join(tools.INPUTS, "a6x1")
ROUTER = "tensor00013_000"  # of layer 0: one float32 array
QUERY = "tensor00007_000"  # of layer 0: a quantised pair


class Refused(unittest.TestCase):
    """A copy of the int8 model of a6x1 in self.model, to be damaged."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.model = os.path.join(self.folder, "model")
        os.mkdir(self.model)
        shutil.copy(os.path.join(SOURCE, "config.json"), self.model)
        shutil.copytree(os.path.join(SOURCE, "int8", "ckpt-0"), self.path("ckpt-0"))

    def path(self, *parts):
        return os.path.join(self.model, *parts)

    def leaf(self, name):
        return self.path("ckpt-0", name)

    def read(self, name):
        with open(self.leaf(name), "rb") as file:
            return file.read()

    def write(self, name, data):
        with open(self.leaf(name), "wb") as file:
            file.write(data)

    def refuse(self, *named, pattern=None):
        line = tools.refusal("grokc", self.model, "-o", os.path.join(self.folder, "out"),
                             "--threads=1")
        for word in named:
            self.assertIn(word, line)
        if pattern:
            self.assertRegex(line, pattern)
        self.assertEqual(os.listdir(self.folder), ["model"], "left something behind")


@tools.needs_compiler
class BadPickle(Refused):
    def test_truncated(self):
        data = self.read(QUERY)
        for length in (0, 1, 2, 10, 30, len(data) // 2, len(data) - 2, len(data) - 1):
            with self.subTest(length):
                self.write(QUERY, data[:length])
                self.refuse(QUERY)

    def test_bytes_after_the_end(self):
        self.write(QUERY, self.read(QUERY) + b"x")
        self.refuse(QUERY)

    def test_system_command(self):
        self.write(QUERY, b"\x80\x04cos\nsystem\n\x8c\x04true\x85R.")
        self.refuse(QUERY, "os", "system")

    def test_every_other_opcode(self):
        """Refused by opcode and offset, whatever follows."""
        allowed = set(b"\x80\x95\x8c\x94h\x93Rb\x81)}(\x85\x86\x87tuKMJN\x88\x89CB.\x8ejsc")
        for code in sorted(set(range(256)) - allowed):
            with self.subTest(f"{code:#04x}"):
                self.write(QUERY, b"\x80\x04" + bytes([code]) + b"x" * 64)
                self.refuse(QUERY, pattern=rf"(?i)0x0*{code:x}\b.*\b2\b|\b2\b.*0x0*{code:x}\b")

    def test_memo_that_was_never_written(self):
        self.write(QUERY, b"\x80\x04h\x07.")
        self.refuse(QUERY)

    def test_deep_nesting(self):
        self.write(QUERY, b"\x80\x04)" + b"\x85" * 2_000_000 + b".")
        self.refuse(QUERY)

    def test_memo_bomb(self):
        self.write(QUERY, b"\x80\x04)" + b"\x94" * 4_000_000 + b".")
        self.refuse(QUERY)

    def test_doubling_tuples(self):
        """Each step doubles what a copying reader would hold."""
        self.write(QUERY, b"\x80\x04)\x94" + b"".join(
            b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86\x94" for n in range(200)) + b".")
        self.refuse(QUERY)

    def test_lengths_beyond_the_file(self):
        for what in (b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 8, b"\x8e" + struct.pack("<Q", 2**63),
                     b"C\xff", b"\x8c\xff", b"\x95" + b"\xff" * 8):
            with self.subTest(what):
                self.write(QUERY, b"\x80\x04" + what + b"abc.")
                self.refuse(QUERY)

    def test_every_byte_of_the_frame(self):
        """A flipped bit outside the numbers never crashes; what it means may be the same."""
        data = bytearray(self.read(ROUTER))
        for position in [*range(0, 160, 7), len(data) - 2, len(data) - 1]:
            with self.subTest(position):
                changed = bytearray(data)
                changed[position] ^= 0x41
                self.write(ROUTER, bytes(changed))
                done = tools.run("grokc", self.model, "-o", os.path.join(self.folder, "out"),
                                 "--compile-to=import")
                self.assertIn(done.returncode, (0, 1, 2), done.stderr)
                self.assertLessEqual(len(done.stderr.splitlines()), 1, done.stderr)


@tools.needs_compiler
class BadTensor(Refused):
    def change(self, name, **fields):
        leaf = checkpoint.read_leaf(self.leaf(name))
        for key, value in fields.items():
            setattr(leaf, key, value)
        self.write(name, checkpoint.leaf_bytes(leaf))

    def change_weight(self, name, part="weight", **fields):
        leaf = checkpoint.read_leaf(self.leaf(name))
        for key, value in fields.items():
            setattr(getattr(leaf, part), key, value)
        self.write(name, checkpoint.leaf_bytes(leaf))

    def test_fortran_order(self):
        self.change(ROUTER, fortran=True)
        self.refuse(ROUTER)

    def test_big_endian(self):
        self.change(ROUTER, dtype_state=(3, ">", None, None, None, -1, -1, 0))
        self.refuse(ROUTER)

    def test_wrong_dtype(self):
        self.change(ROUTER, dtype="i8", shape=(96, 32))
        self.refuse(ROUTER)

    def test_wrong_shape(self):
        self.change(ROUTER, shape=(8, 96))
        self.refuse(ROUTER, "router")

    def test_shape_that_does_not_fit_the_data(self):
        self.change(ROUTER, shape=(96, 9))
        self.refuse(ROUTER)

    def test_shape_product_overflows(self):
        for shape in ((2**31 - 1,) * 3, (2**31 - 1, 2**31 - 1), (-96, -8)):
            with self.subTest(shape):
                self.change(ROUTER, shape=shape)
                self.refuse(ROUTER)

    def test_scales_are_not_numbers(self):
        scales = checkpoint.read_leaf(self.leaf(QUERY)).scales
        for word in (0x7FC0, 0x7F80, 0xFF80):  # NaN, infinity, -infinity as bf16
            with self.subTest(hex(word)):
                self.change_weight(QUERY, "scales",
                                   data=struct.pack("<H", word) + scales.data[2:])
                self.refuse(QUERY)

    def test_scales_of_another_rank(self):
        self.change_weight(QUERY, "scales", shape=(96,))
        self.refuse(QUERY)

    def test_scales_of_another_grouping(self):
        scales = checkpoint.read_leaf(self.leaf(QUERY)).scales
        self.change_weight(QUERY, "scales", shape=(5, 96), data=scales.data * 5)
        self.refuse(QUERY)

    def test_weight_is_not_quantised_int8(self):
        self.change_weight(QUERY, "weight", dtype="bf16", shape=(96, 48))
        self.refuse(QUERY)


@tools.needs_compiler
class BadFolder(Refused):
    def test_missing_leaf(self):
        os.remove(self.leaf(QUERY))
        self.refuse(QUERY)

    def test_extra_leaf(self):
        shutil.copy(self.leaf(ROUTER), self.leaf("tensor00026_000"))
        self.refuse("tensor00026_000")

    def test_leaf_of_another_host(self):
        os.rename(self.leaf(QUERY), self.leaf("tensor00007_001"))
        self.refuse("tensor00007_001")

    def test_leaf_split_over_hosts(self):
        shutil.copy(self.leaf(QUERY), self.leaf("tensor00007_001"))
        self.refuse("tensor00007_001")

    def test_swapped_leaves(self):
        os.rename(self.leaf(QUERY), self.leaf("x"))
        os.rename(self.leaf(ROUTER), self.leaf(QUERY))
        os.rename(self.leaf("x"), self.leaf(ROUTER))
        self.refuse(QUERY)

    def test_leaf_that_never_ends(self):
        os.remove(self.leaf(QUERY))
        os.mkfifo(self.leaf(QUERY))
        self.refuse(QUERY)

    def test_leaf_that_is_a_folder(self):
        os.remove(self.leaf(QUERY))
        os.mkdir(self.leaf(QUERY))
        self.refuse(QUERY)

    def test_dangling_link(self):
        os.remove(self.leaf(QUERY))
        os.symlink("nowhere", self.leaf(QUERY))
        self.refuse(QUERY)

    def test_no_checkpoint(self):
        shutil.rmtree(self.path("ckpt-0"))
        self.refuse("ckpt-0")

    def test_empty_checkpoint(self):
        shutil.rmtree(self.path("ckpt-0"))
        os.mkdir(self.path("ckpt-0"))
        self.refuse("ckpt-0")

    def test_no_such_model(self):
        shutil.rmtree(self.model)
        line = tools.refusal("grokc", self.model, "-o", os.path.join(self.folder, "out"))
        self.assertIn(self.model, line)
        self.assertEqual(os.listdir(self.folder), [])

    def test_output_that_cannot_be_made(self):
        line = tools.refusal("grokc", self.model, "-o", "/proc/no/such/folder")
        self.assertIn("/proc/no/such", line)


@tools.needs_compiler
class BadTokenizer(Refused):
    def check(self, data):
        with open(self.path("tokenizer.model"), "wb") as file:
            file.write(data)
        self.refuse("tokenizer.model")

    def test_not_a_tokenizer(self):
        self.check(b"this is not a SentencePiece model")

    def test_empty(self):
        self.check(b"")

    def test_cut_off(self):
        with open(os.path.join(tools.NANO, "tokenizer.model"), "rb") as file:
            self.check(file.read()[:20_000])

    def test_more_pieces_than_the_vocabulary(self):
        with open(os.path.join(tools.NANO, "tokenizer.model"), "rb") as file:
            self.check(file.read())


@tools.needs_compiler
class BadDescription(Refused):
    def refuse_text(self, text, *named):
        with open(self.path("config.json"), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        self.refuse("config.json", *named)

    def refuse_with(self, key, value, *named):
        with open(os.path.join(SOURCE, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config[key] = value
        self.refuse_text(json.dumps(config), *named)

    def test_not_json(self):
        for text in ("", "{", "[]", "7", "{\"vocab_size\": }", b"\xff\xfe\x00", b"{\"\xc3\x28\": 1}"):
            with self.subTest(text):
                self.refuse_text(text)

    def test_deep_json(self):
        self.refuse_text("[" * 1_000_000)

    def test_unknown_key_names_the_nearest(self):
        self.refuse_with("num_layer", 2, "num_layer", "num_layers")

    def test_missing_key(self):
        for key in ("vocab_size", "num_experts", "attn_logit_softcap"):
            with self.subTest(key):
                with open(os.path.join(SOURCE, "config.json"), encoding="utf-8") as file:
                    config = json.load(file)
                del config[key]
                self.refuse_text(json.dumps(config), key)

    def test_wrong_types(self):
        for key, value in (("num_layers", "2"), ("num_layers", 2.5), ("emb_size", None),
                           ("rms_norm_eps", []), ("vocab_size", True)):
            with self.subTest(key=key, value=value):
                self.refuse_with(key, value, key)

    def test_impossible_sizes(self):
        for key, value in (("num_layers", 0), ("num_layers", -1), ("emb_size", 2**62),
                           ("vocab_size", 2**63), ("num_experts", 0), ("key_size", 15),
                           ("sequence_len", 0), ("num_layers", 2**40), ("pad_token", 512)):
            with self.subTest(key=key, value=value):
                self.refuse_with(key, value, key)

    def test_heads_that_do_not_divide(self):
        self.refuse_with("num_kv_heads", 4, "num_kv_heads")

    def test_more_experts_selected_than_there_are(self):
        self.refuse_with("num_selected_experts", 9, "num_selected_experts")

    def test_numbers_that_are_none(self):
        for value in ("NaN", "Infinity", "1e999", "-1"):
            with self.subTest(value):
                with open(os.path.join(SOURCE, "config.json"), encoding="utf-8") as file:
                    text = file.read().replace("1e-05", value)
                self.refuse_text(text)

    def test_no_description(self):
        os.remove(self.path("config.json"))
        self.refuse("config.json")


if __name__ == "__main__":
    unittest.main()
