# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runtime's C interface (runtime/grok.h) from Python, for steps of any mix."""
import ctypes
import functools

import numpy

import tools


class LoadOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_int32),
                ("fullCheck", ctypes.c_int32), ("cpuLevel", ctypes.c_char_p)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("kvMemory", ctypes.c_uint64),
                ("sequences", ctypes.c_int32)]


class StepRow(ctypes.Structure):
    _fields_ = [("token", ctypes.c_int32), ("sequence", ctypes.c_int32),
                ("wantLogits", ctypes.c_int32)]


class Logits(ctypes.Structure):
    _fields_ = [("data", ctypes.POINTER(ctypes.c_float)), ("rows", ctypes.c_int64),
                ("vocabSize", ctypes.c_int64), ("stride", ctypes.c_int64)]


@functools.cache
def library():
    grok = ctypes.CDLL(tools.RUNTIME)
    for function in ("grokModelLoad", "grokSessionCreate"):
        getattr(grok, function).restype = ctypes.c_void_p
    grok.grokLastError.restype = ctypes.c_char_p
    return grok


def checked(value, failed):
    if failed:
        raise AssertionError(library().grokLastError().decode())
    return value


class Session:
    """Some sequences over one loaded model; use as a context."""

    def __init__(self, artifact, sequences, threads=1):
        options = LoadOptions(ctypes.sizeof(LoadOptions), threads, 0, None)
        model = library().grokModelLoad(artifact.encode(), ctypes.byref(options))
        self.model = ctypes.c_void_p(checked(model, not model))
        options = SessionOptions(ctypes.sizeof(SessionOptions), 0, sequences)
        session = library().grokSessionCreate(self.model, ctypes.byref(options))
        self.session = ctypes.c_void_p(checked(session, not session))
        self.sequences = [self.create() for _ in range(sequences)]

    def create(self):
        number = library().grokSequenceCreate(self.session)
        return checked(number, number < 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        library().grokSessionFree(self.session)
        library().grokModelFree(self.model)

    def step(self, rows):
        """rows: (index of the sequence, token). Logits [rows, vocabulary]."""
        array = (StepRow * len(rows))(*[StepRow(token, self.sequences[index], 1)
                                        for index, token in rows])
        logits = Logits()
        status = library().grokStep(self.session, array, ctypes.c_size_t(len(rows)),
                                    ctypes.byref(logits))
        checked(status, status != 0)
        stored = numpy.ctypeslib.as_array(logits.data, (logits.rows, logits.stride))
        return stored[:, : logits.vocabSize].copy()


def feed_together(artifact, token_lists, chunks, threads=1):
    """Feeds all sequences side by side, sequence i in chunks of chunks[i].

    Returns the logits of each, [its positions, vocabulary].
    """
    collected = [[] for _ in token_lists]
    done = [0] * len(token_lists)
    with Session(artifact, len(token_lists), threads) as session:
        while any(done[i] < len(tokens) for i, tokens in enumerate(token_lists)):
            rows = []
            for i, tokens in enumerate(token_lists):
                rows += [(i, token) for token in tokens[done[i] : done[i] + chunks[i]]]
                done[i] = min(done[i] + chunks[i], len(tokens))
            for (i, _), logits in zip(rows, session.step(rows), strict=True):
                collected[i].append(logits)
    return [numpy.stack(logits) for logits in collected]
