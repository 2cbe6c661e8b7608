#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes a model of any size with random weights: config.json and ckpt-0/ in the true format.

Needs Python alone. Memory stays below 100 MiB whatever the size. Sizes are Grok-1's unless a
config file or an option says otherwise:

    make_checkpoint.py /tmp/wide --num-layers 1 --vocab-size 2048      one real layer, 4.9 GB int8
    make_checkpoint.py /tmp/tiny --config tests/inputs/a6x1/config.json --num-layers 3 --float
"""
import argparse
import functools
import json
import math
import os
import random
import struct
import sys

CHUNK = 1 << 20  # bytes of random data made at once
POOL = 32 << 20  # large tensors are put together from pieces of that many random bytes
FRAME_LIMIT = 64 << 10  # payloads of this size stand outside frames
SIZES = {"float32": 4, "bfloat16": 2, "int8": 1}

# In the order in which config.json has them.
GROK_1 = {
    "vocab_size": 131072,
    "emb_size": 6144,
    "num_layers": 64,
    "num_q_heads": 48,
    "num_kv_heads": 8,
    "key_size": 128,
    "widening_factor": 8,
    "num_experts": 8,
    "num_selected_experts": 2,
    "embedding_multiplier": 78.38367176906169,
    "output_multiplier": 0.5773502691896257,
    "attn_output_multiplier": 0.08838834764831845,
    "pad_token": 0,
    "eos_token": 2,
    "sequence_len": 8192,
    "ffn_size": 32768,
    "rms_norm_eps": 1e-05,
    "rope_base": 10000,
    "attn_logit_softcap": 30.0,
    "model_shards_of_int8_scales": 8,
    "float_checkpoint_matrix_dtype": "float32",
}


# The pickle, as protocol 4 of Python's pickler writes it. Every string, tuple and object is
# memoised (94), and what comes again is fetched from the memo (68), so the indices below count them.
def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode() + b"\x94"


def global_(module, name):
    return text(module) + text(name) + b"\x93\x94"


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 65536:
        return b"M" + struct.pack("<H", value)
    return b"J" + struct.pack("<i", value)


def shape_tuple(shape):
    return b"".join(map(integer, shape)) + {1: b"\x85", 2: b"\x86", 3: b"\x87"}[len(shape)] + b"\x94"


def new_dtype(dtype):
    kind = {"float32": text("f4"), "int8": text("i1"), "bfloat16": global_("ml_dtypes", "bfloat16")}
    sizes = (2, 2, 80) if dtype == "bfloat16" else (-1, -1, 0)
    order = text("|" if dtype == "int8" else "<")
    return (kind[dtype] + b"\x89\x88\x87\x94R\x94(K\x03" + order + b"NNN"
            + b"".join(map(integer, sizes)) + b"t\x94b")


def payload(size, chunks):
    """(opcode and length, bytes, chunks)."""
    if size < 256:
        return b"C" + bytes([size]), size, chunks
    if size < 1 << 32:
        return b"B" + struct.pack("<I", size), size, chunks
    return b"\x8e" + struct.pack("<Q", size), size, chunks


NEW_ARRAY = (global_("numpy.core.multiarray", "_reconstruct") + global_("numpy", "ndarray")
             + b"K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01")
END_OF_ARRAY = b"\x94t\x94b"


def array_pieces(dtype, shape, chunks):
    numpy = b"h\x03"  # the string, from the memo
    begin = NEW_ARRAY + shape_tuple(shape) + numpy + text("dtype") + b"\x93\x94" + new_dtype(dtype)
    return [b"\x80\x04", begin + b"\x89", payload(math.prod(shape) * SIZES[dtype], chunks),
            END_OF_ARRAY + b"."]


def pair_pieces(shape, chunks, scale_shape, scale_chunks):
    begin = (global_("__main__", "QuantizedWeight8bit") + b")\x81\x94}\x94(" + text("weight")
             + NEW_ARRAY + shape_tuple(shape) + b"h\x09" + text("dtype") + b"\x93\x94"
             + new_dtype("int8") + b"\x89")
    # _reconstruct, ndarray, b"b" and dtype come from the memo the second time.
    middle = (END_OF_ARRAY + text("scales") + b"h\x08h\x0bK\x00\x85\x94h\x0d\x87\x94R\x94(K\x01"
              + shape_tuple(scale_shape) + b"h\x12" + new_dtype("bfloat16") + b"\x89")
    return [b"\x80\x04", begin, payload(math.prod(shape), chunks), middle,
            payload(math.prod(scale_shape) * 2, scale_chunks), END_OF_ARRAY + b"ub."]


def write_pickle(file, pieces):
    """The first piece stands before all frames, large payloads between them."""
    file.write(pieces[0])
    frame = bytearray()

    def end_frame():
        file.write(b"\x95" + struct.pack("<Q", len(frame)) + frame)
        frame.clear()

    for piece in pieces[1:]:
        if isinstance(piece, bytes):
            frame += piece
            continue
        header, size, chunks = piece
        if size < FRAME_LIMIT:
            frame += header + b"".join(chunks)
            continue
        end_frame()
        file.write(header)
        for chunk in chunks:
            file.write(chunk)
    end_frame()


# Random values. Bits are drawn and their exponents replaced: there is no faster way in Python alone.
@functools.cache
def pool():
    return random.Random(0).randbytes(POOL)


def random_chunks(size, seed):
    source = random.Random(seed)
    if size < CHUNK:
        yield bytearray(source.randbytes(size))
        return
    for begin in range(0, size, CHUNK):
        place = source.randrange(POOL - CHUNK)
        yield bytearray(pool()[place:place + min(CHUNK, size - begin)])


def int8_chunks(size, seed):
    """All of -127..127; the format's writer clips there."""
    for chunk in random_chunks(size, seed):
        yield chunk.replace(b"\x80", b"\x81")


def float_chunks(elements, dtype, rms, seed, signed=True):
    """Finite values within a factor of four whose root mean square is about `rms`."""
    # The highest byte holds the sign and all of the exponent but its lowest bit.
    exponent = max(1, min(126, round((math.log2(rms / 2.4) + 127) / 2)))
    highest = bytes((byte & 0x80 if signed else 0) | exponent for byte in range(256))
    width = SIZES[dtype]
    for chunk in random_chunks(elements * width, seed):
        chunk[width - 1::width] = chunk[width - 1::width].translate(highest)
        yield chunk


def leaves(config):
    """(name, shape, row groups of its scales or None) of every tensor, in the order of the files."""
    emb, ffn, experts = config["emb_size"], config["ffn_size"], config["num_experts"]
    query = config["num_q_heads"] * config["key_size"]
    key = config["num_kv_heads"] * config["key_size"]
    groups = config["model_shards_of_int8_scales"]
    found = [(("language_model/in_out_embed", "embeddings"), (config["vocab_size"], emb), None),
             (("language_model/rms_norm", "scale"), (emb,), None)]
    for layer in range(config["num_layers"]):
        parts = [("moe/linear", "w", (experts, emb, ffn), 1),
                 ("moe/linear_v", "w", (experts, emb, ffn), 1),
                 ("moe/linear_1", "w", (experts, ffn, emb), groups),
                 ("multi_head_attention/query", "w", (emb, query), 1),
                 ("multi_head_attention/key", "w", (emb, key), 1),
                 ("multi_head_attention/value", "w", (emb, key), 1),
                 ("multi_head_attention/linear", "w", (query, emb), groups),
                 ("router", "w", (emb, experts), None)]
        parts += [(norm, "scale", (emb,), None)
                  for norm in ("rms_norm", "rms_norm_1", "rms_norm_2", "rms_norm_3")]
        for path, leaf, shape, rows in parts:
            found.append(((f"transformer/decoder_layer_{layer}/{path}", leaf), shape, rows))
    # Strings are sorted, so layer 10 stands before layer 2.
    return [("/".join(path), shape, rows) for path, shape, rows in sorted(found, key=lambda f: f[0])]


def pieces_of(name, shape, groups, config, as_int8, seed):
    seed = f"{seed}/{name}"
    elements = math.prod(shape)
    if len(shape) == 1:
        return array_pieces("float32", shape,
                            float_chunks(elements, "float32", 1.2, seed, signed=False))
    if name.endswith("/embeddings"):
        return array_pieces("float32", shape, float_chunks(
            elements, "float32", 1 / config["embedding_multiplier"], seed))
    rms = 1 / math.sqrt(shape[-2])  # a product keeps the size of its input
    if groups is None:
        return array_pieces("float32", shape, float_chunks(elements, "float32", rms, seed))
    if not as_int8:
        dtype = config["float_checkpoint_matrix_dtype"]
        return array_pieces(dtype, shape, float_chunks(elements, dtype, rms, seed))
    scale_shape = (*shape[:-2], groups, shape[-1])
    scales = float_chunks(math.prod(scale_shape), "bfloat16", rms / 73.3, seed + "/scales",
                          signed=False)
    return pair_pieces(shape, int8_chunks(elements, seed), scale_shape, scales)


def ffn_size(widening_factor, emb_size):
    return (int(widening_factor * emb_size) * 2 // 3 + 7) // 8 * 8


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Writes a model with random weights in xAI's checkpoint format.",
        epilog="ffn_size follows from widening_factor and emb_size unless it is given.")
    parser.add_argument("folder", help="made if missing; must not hold a ckpt-0 yet")
    parser.add_argument("--config", metavar="FILE", help="a config.json to begin with")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--int8", action="store_true", help="int8 matrices with scales (default)")
    form.add_argument("--float", action="store_true", help="matrices in the configured float type")
    parser.add_argument("--seed", type=int, default=0)
    for key, value in GROK_1.items():
        names = ["--" + key.replace("_", "-")] + (["--layers"] if key == "num_layers" else [])
        kind = float if key == "widening_factor" or isinstance(value, float) else type(value)
        parser.add_argument(*names, dest=key, type=kind, metavar="N", help=argparse.SUPPRESS
                            if key in ("pad_token", "eos_token") else f"default {value}")
    return parser.parse_args()


def configuration(arguments):
    config = dict(GROK_1)
    if arguments.config:
        with open(arguments.config) as file:
            config.update(json.load(file))
    given = {key: getattr(arguments, key) for key in GROK_1 if getattr(arguments, key) is not None}
    config.update(given)
    if "ffn_size" not in given:
        config["ffn_size"] = ffn_size(config["widening_factor"], config["emb_size"])
    config["weights_seed"] = arguments.seed
    return config


def main():
    arguments = parse_arguments()
    config = configuration(arguments)
    checkpoint = os.path.join(arguments.folder, "ckpt-0")
    if os.path.exists(checkpoint):
        sys.exit(f"make_checkpoint.py: {checkpoint}: exists already; remove it or name another folder")
    os.makedirs(checkpoint)
    with open(os.path.join(arguments.folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
    for index, (name, shape, groups) in enumerate(leaves(config)):
        with open(os.path.join(checkpoint, f"tensor{index:05d}_000"), "wb") as file:
            write_pickle(file, pieces_of(name, shape, groups, config, not arguments.float,
                                         arguments.seed))


if __name__ == "__main__":
    main()
