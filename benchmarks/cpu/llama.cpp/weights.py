# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One set of random weights as xAI's checkpoint and as GGUF, the same numbers in each.

Every matrix holds 15 c 2^-e with c in -8..7, which int8 with a scale per column, Q8_0, Q4_0 and
Q4_K all hold exactly; so differences between runs come from the arithmetic alone.
"""
import importlib.util
import json
import math
import os
import zlib

import gguf
import numpy

STEP = 15  # between neighbouring weights, in int8 codes
BLOCK = {"Q8_0": 32, "Q4_0": 32, "Q4_K": 256}
GROK_1 = dict(emb_size=6144, num_q_heads=48, num_kv_heads=8, ffn_size=32768)


def configuration(maker, quick):
    """Grok-1's widths in two layers (one is not enough: the last layer of a llama.cpp prefill
    computes a single row), or an eighth of the widths in 16 layers."""
    config = dict(maker.GROK_1, num_layers=2, vocab_size=2048)
    if quick:
        config.update({key: size // 8 for key, size in GROK_1.items()}, num_layers=16)
        config["embedding_multiplier"] = math.sqrt(config["emb_size"])
    return config


def load_maker(root):
    spec = importlib.util.spec_from_file_location(
        "make_checkpoint", os.path.join(root, "tests/inputs/make_checkpoint.py"))
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    return maker


def generator(name, index=0):
    return numpy.random.default_rng([zlib.crc32(name.encode()), index])


def matrix_codes(name, index, rows, columns):
    """c of one matrix [rows, columns]."""
    bits = generator(name, index).integers(0, 1 << 64, rows * columns // 8, numpy.uint64)
    bits &= numpy.uint64(0x0F0F0F0F0F0F0F0F)
    codes = bits.view(numpy.int8)
    codes -= 8
    return codes.reshape(rows, columns)


def matrix_exponent(rows):
    """A product keeps the size of its input; 14 is the most that a half float holds."""
    return min(14, round(math.log2(4.6 * STEP * math.sqrt(rows))))


def table_codes(config):
    """Codes of the embedding table; each row reaches 127, so that int8 finds its step again."""
    shape = (config["vocab_size"], config["emb_size"])
    codes = generator("table").integers(-127, 128, shape, numpy.int8)
    codes[:, 0] = 127
    return codes


def table_exponent(config):
    return round(math.log2(73.3 * config["embedding_multiplier"]))


def small_tensor(name, shape):
    """Norm scales and routers, float32."""
    if len(shape) == 1:
        return generator(name).uniform(0.5, 1.5, shape).astype(numpy.float32)
    return (generator(name).standard_normal(shape) / math.sqrt(shape[0])).astype(numpy.float32)


# ---- the checkpoint


def checkpoint_pieces(maker, name, shape, groups, config):
    if name.endswith("/embeddings"):
        table = table_codes(config).astype(numpy.float32) * 2.0 ** -table_exponent(config)
        return maker.array_pieces("float32", shape, [table.astype(numpy.float32).tobytes()])
    if groups is None:
        return maker.array_pieces("float32", shape, [small_tensor(name, shape).tobytes()])
    rows, columns = shape[-2:]
    experts = shape[0] if len(shape) == 3 else 1
    chunks = ((matrix_codes(name, i, rows, columns) * numpy.int8(STEP)).tobytes()
              for i in range(experts))
    # A power of two in bfloat16 is its exponent alone.
    scale = ((127 - matrix_exponent(rows)) << 7).to_bytes(2, "little")
    scale_shape = (*shape[:-2], groups, columns)
    return maker.pair_pieces(shape, chunks, scale_shape, [scale * math.prod(scale_shape)])


def write_checkpoint(maker, config, folder):
    if os.path.exists(os.path.join(folder, "config.json")):
        return
    checkpoint = os.path.join(folder, "ckpt-0")
    os.makedirs(checkpoint, exist_ok=True)
    for index, (name, shape, groups) in enumerate(maker.leaves(config)):
        with open(os.path.join(checkpoint, f"tensor{index:05d}_000"), "wb") as file:
            maker.write_pickle(file, checkpoint_pieces(maker, name, shape, groups, config))
    with open(os.path.join(folder, "config.json"), "w") as file:  # last: marks a whole folder
        json.dump(config, file, indent=1)


# ---- GGUF


def blocks_of_q8_0(codes, exponent):
    """Codes [columns, rows] of int8 as bytes [columns, ...]."""
    columns, rows = codes.shape
    blocks = numpy.empty((columns, rows // 32, 34), numpy.uint8)
    blocks[..., :2] = numpy.array([2.0 ** -exponent], numpy.float16).view(numpy.uint8)
    blocks[..., 2:] = codes.reshape(columns, -1, 32).view(numpy.uint8)
    return blocks


def blocks_of_q4_0(codes, exponent):
    columns, rows = codes.shape
    levels = (codes + numpy.int8(8)).view(numpy.uint8).reshape(columns, -1, 2, 16)
    blocks = numpy.empty((columns, rows // 32, 18), numpy.uint8)
    blocks[..., :2] = numpy.array([STEP * 2.0 ** -exponent], numpy.float16).view(numpy.uint8)
    blocks[..., 2:] = levels[:, :, 0] | levels[:, :, 1] << 4
    return blocks


def blocks_of_q4_k(codes, exponent):
    """Eight sub-blocks of scale 1 and minimum 8, both times the step."""
    columns, rows = codes.shape
    levels = (codes + numpy.int8(8)).view(numpy.uint8).reshape(columns, -1, 4, 2, 32)
    blocks = numpy.empty((columns, rows // 256, 144), numpy.uint8)
    step = numpy.array([STEP * 2.0 ** -exponent] * 2, numpy.float16).view(numpy.uint8)
    blocks[..., :4] = step
    blocks[..., 4:16] = [1] * 4 + [8] * 4 + [1 | 8 << 4] * 4
    blocks[..., 16:] = (levels[:, :, :, 0] | levels[:, :, :, 1] << 4).reshape(columns, -1, 128)
    return blocks


def blocks_of(form, codes, exponent):
    if form == "Q8_0":
        return blocks_of_q8_0(codes * numpy.int8(STEP), exponent)
    return (blocks_of_q4_0 if form == "Q4_0" else blocks_of_q4_k)(codes, exponent)


NAMES = {
    "moe/linear/w": "ffn_gate_exps", "moe/linear_v/w": "ffn_up_exps",
    "moe/linear_1/w": "ffn_down_exps", "multi_head_attention/query/w": "attn_q",
    "multi_head_attention/key/w": "attn_k", "multi_head_attention/value/w": "attn_v",
    "multi_head_attention/linear/w": "attn_output", "router/w": "ffn_gate_inp",
    "rms_norm/scale": "attn_norm", "rms_norm_1/scale": "attn_output_norm",
    "rms_norm_2/scale": "ffn_norm", "rms_norm_3/scale": "layer_output_norm",
}


def gguf_name(name):
    if name == "language_model/in_out_embed/embeddings":
        return "token_embd.weight"
    if name == "language_model/rms_norm/scale":
        return "output_norm.weight"
    layer, rest = name.removeprefix("transformer/decoder_layer_").split("/", 1)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def add_metadata(writer, config):
    arch = "grok"
    for key, value in {"block_count": config["num_layers"], "context_length": 8192,
                       "embedding_length": config["emb_size"],
                       "feed_forward_length": config["ffn_size"],
                       "attention.head_count": config["num_q_heads"],
                       "attention.head_count_kv": config["num_kv_heads"],
                       "rope.dimension_count": config["key_size"],
                       "vocab_size": config["vocab_size"],
                       "expert_count": config["num_experts"],
                       "expert_used_count": config["num_selected_experts"]}.items():
        writer.add_uint32(f"{arch}.{key}", value)
    for key, value in {"attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
                       "rope.freq_base": config["rope_base"],
                       "embedding_scale": config["embedding_multiplier"],
                       "logit_scale": config["output_multiplier"],
                       "attention.output_scale": config["attn_output_multiplier"],
                       "attn_logit_softcapping": config["attn_logit_softcap"]}.items():
        writer.add_float32(f"{arch}.{key}", value)
    writer.add_string("tokenizer.ggml.model", "none")


def write_gguf(maker, config, form, path):
    """Matrices in `form`, the table in Q8_0, the rest in float32."""
    if os.path.exists(path):
        return
    writer = gguf.GGUFWriter(path + ".part", "grok")
    add_metadata(writer, config)
    pending = []
    for name, shape, groups in maker.leaves(config):
        is_table = name.endswith("/embeddings")
        kind = "Q8_0" if is_table else form if groups is not None else "F32"
        kind = gguf.GGMLQuantizationType[kind]
        order = shape if is_table else (*shape[:-2], *reversed(shape[-2:]))
        # The writer counts the bytes of a row where it is told that elements are bytes.
        block, size = gguf.GGML_QUANT_SIZES[kind]
        row = order[-1] // block * size
        stored = (*order[:-1], row) if kind != gguf.GGMLQuantizationType.F32 else order
        writer.add_tensor_info(gguf_name(name), stored, numpy.dtype(
            numpy.float32 if kind == gguf.GGMLQuantizationType.F32 else numpy.uint8),
                               math.prod(order[:-1]) * row, kind)
        pending.append((name, shape, groups))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    for name, shape, groups in pending:
        writer.write_padding(file, file.tell())
        for part in gguf_parts(config, name, shape, groups, form):
            file.write(part)
    writer.write_padding(file, file.tell())
    writer.close()
    os.rename(path + ".part", path)


def gguf_parts(config, name, shape, groups, form):
    if name.endswith("/embeddings"):
        yield blocks_of_q8_0(table_codes(config), table_exponent(config)).tobytes()
    elif groups is None:
        yield numpy.ascontiguousarray(small_tensor(name, shape).T).tobytes()
    else:
        rows, columns = shape[-2:]
        for index in range(shape[0] if len(shape) == 3 else 1):
            codes = matrix_codes(name, index, rows, columns)
            for first in range(0, columns, 1024):
                part = numpy.ascontiguousarray(codes[:, first:first + 1024].T)
                yield blocks_of(form, part, matrix_exponent(rows)).tobytes()
