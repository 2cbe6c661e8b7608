# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""llama.cpp through its C interface: a process that loads one model and answers requests.

    peer.py FOLDER-OF-THE-PEER MODEL.gguf

One request per line of standard input, one answer per line of standard output, both JSON.
"""
import ctypes
import json
import os
import statistics
import sys
import time
import types

import numpy


def load_interface(folder):
    """The declarations that llama-cpp-python brings, without the rest of its package."""
    os.environ["LLAMA_CPP_LIB_PATH"] = os.path.join(folder, "build", "bin")
    package = types.ModuleType("llama_cpp")
    package.__path__ = [os.path.join(folder, "source", "llama_cpp")]
    sys.modules["llama_cpp"] = package
    from llama_cpp import llama_cpp as interface
    return interface


class Context:
    """Sequences of one case; deeper tokens are kept from request to request."""

    def __init__(self, api, model, batch, tokens):
        self.api, self.batch, self.depth = api, batch, 0
        params = api.llama_context_default_params()
        params.n_ctx = batch * -(-tokens // 256) * 256
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = batch
        params.n_threads = params.n_threads_batch = os.cpu_count()
        params.kv_unified = True
        params.no_perf = True
        self.context = api.llama_init_from_model(model, params)
        if not self.context:
            sys.exit("peer.py: no context")
        self.rows = api.llama_batch_init(512, 0, 1)
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
        self.random = numpy.random.default_rng(1)

    def close(self):
        self.api.llama_batch_free(self.rows)
        self.api.llama_free(self.context)

    def use_threads(self, threads):
        self.api.llama_set_n_threads(self.context, threads, threads)

    def decode(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted)."""
        for i, (token, position, sequence, wanted) in enumerate(rows):
            self.rows.token[i], self.rows.pos[i] = token, position
            self.rows.n_seq_id[i], self.rows.seq_id[i][0] = 1, sequence
            self.rows.logits[i] = wanted
        self.rows.n_tokens = len(rows)
        if self.api.llama_decode(self.context, self.rows) != 0:
            sys.exit("peer.py: llama_decode failed")

    def feed(self, count, first, sequence):
        tokens = self.random.integers(1, self.vocabulary, count).tolist()
        for begin in range(0, count, 512):
            part = tokens[begin:begin + 512]
            self.decode([(token, first + begin + i, sequence, begin + i == count - 1)
                         for i, token in enumerate(part)])

    def forget(self, depth):
        memory = self.api.llama_get_memory(self.context)
        for sequence in range(self.batch):
            self.api.llama_memory_seq_rm(memory, sequence, depth, -1)

    def reach(self, depth):
        for sequence in range(self.batch if self.depth < depth else 0):
            self.feed(depth - self.depth, self.depth, sequence)
        self.depth = depth

    def time_decode(self, depth, steps):
        self.reach(depth)
        seconds = []
        for step in range(steps + 1):
            tokens = self.random.integers(1, self.vocabulary, self.batch).tolist()
            begin = time.perf_counter()
            self.decode([(token, depth + step, i, True) for i, token in enumerate(tokens)])
            self.api.llama_get_logits(self.context)
            seconds.append(time.perf_counter() - begin)
        self.forget(depth)
        return seconds[1:]  # the first step is not used to this shape yet

    def time_prefill(self, tokens):
        begin = time.perf_counter()
        self.feed(tokens, 0, 0)
        self.api.llama_get_logits(self.context)
        seconds = time.perf_counter() - begin
        self.forget(0)
        return seconds

    def logits(self, tokens, path):
        """Of every token, as float32 [tokens, vocabulary]."""
        self.decode([(token, i, 0, True) for i, token in enumerate(tokens)])
        pointer = self.api.llama_get_logits(self.context)
        shape = (len(tokens), self.vocabulary)
        numpy.save(path, numpy.ctypeslib.as_array(pointer, shape))
        self.forget(0)


def peak_bytes():
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def answer(api, model, contexts, request):
    kind = request["kind"]
    key = (request.get("batch", 1), kind == "decode")
    depth, steps = request.get("depth", 0), request.get("steps", 0)
    if key not in contexts:
        contexts[key] = Context(api, model, key[0], max(1536, depth + steps + 1) if key[1] else 512)
    context = contexts[key]
    context.use_threads(request["threads"])
    if kind == "logits":
        context.logits(request["tokens"], request["path"])
        return {}
    if kind == "prefill":
        return {"seconds": context.time_prefill(request["tokens"])}
    return {"seconds": statistics.median(context.time_decode(depth, steps))}


def main():
    folder, path = sys.argv[1:]
    begin = time.perf_counter()
    api = load_interface(folder)
    silent = api.llama_log_callback(lambda *_: None)
    api.llama_log_set(silent, ctypes.c_void_p(0))
    api.llama_backend_init()
    params = api.llama_model_default_params()
    params.n_gpu_layers = 0
    model = api.llama_model_load_from_file(path.encode(), params)
    if not model:
        sys.exit(f"peer.py: cannot load {path}")
    contexts = {(1, True): Context(api, model, 1, 1536)}
    contexts[1, True].decode([(1, 0, 0, True)])
    contexts[1, True].forget(0)
    started = time.perf_counter() - begin
    print(json.dumps({"start_seconds": started, "peak_rss_bytes": peak_bytes()}), flush=True)
    for line in sys.stdin:
        result = answer(api, model, contexts, json.loads(line))
        print(json.dumps(result | {"peak_rss_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
