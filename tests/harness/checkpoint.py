# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes and reads leaves of a ckpt-0 folder: one protocol-4 pickle per leaf, byte
for byte as the reference's Python writes them.

Every field of an Array can be set to something a reader must refuse.
"""
import io
import pickle
import pickletools
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Global:
    """A class by the names that the file gives it."""

    module: str
    name: str


RECONSTRUCT = Global("numpy.core.multiarray", "_reconstruct")
NDARRAY = Global("numpy", "ndarray")
DTYPE = Global("numpy", "dtype")
BFLOAT16 = Global("ml_dtypes", "bfloat16")
QUANTIZED = Global("__main__", "QuantizedWeight8bit")
EMPTY = b"b"  # the one object that all arrays share, as in numpy

# dtype -> what the file calls it, and the state of numpy's dtype object.
DTYPES = {
    "f32": ("f4", (3, "<", None, None, None, -1, -1, 0)),
    "i8": ("i1", (3, "|", None, None, None, -1, -1, 0)),
    "bf16": (BFLOAT16, (3, "<", None, None, None, 2, 2, 80)),
}
ITEM_BYTES = {"f32": 4, "i8": 1, "bf16": 2}


@dataclass
class Array:
    dtype: str
    shape: tuple
    data: bytes  # little-endian, C order
    fortran: bool = False
    dtype_state: tuple = field(default=None)


@dataclass
class Pair:
    weight: Array
    scales: Array
    klass: Global = QUANTIZED


class LeafPickler(pickle._Pickler):  # the Python one: its dispatch can be extended
    dispatch = dict(pickle._Pickler.dispatch)

    def save_named(self, value):
        self.save(value.module)
        self.save(value.name)
        self.write(pickle.STACK_GLOBAL)
        self.memoize(value)

    def save_call(self, function, arguments, state):
        self.save(function)
        self.save(arguments)
        self.write(pickle.REDUCE)
        self.memoize([])  # takes a number in the memo, as the object would
        self.save(state)
        self.write(pickle.BUILD)

    def save_array(self, array):
        name, state = DTYPES[array.dtype]
        dtype = Call(DTYPE, (name, False, True), array.dtype_state or state)
        empty_shape = tuple([0])  # a new object each time: the memo goes by identity
        self.save_call(RECONSTRUCT, (NDARRAY, empty_shape, EMPTY),
                       (1, tuple(array.shape), dtype, array.fortran, array.data))

    def save_pair(self, pair):
        self.save(pair.klass)
        self.save(())
        self.write(pickle.NEWOBJ)
        self.memoize(pair)
        self.save({"weight": pair.weight, "scales": pair.scales})
        self.write(pickle.BUILD)

    dispatch[Global] = save_named
    dispatch[Array] = save_array
    dispatch[Pair] = save_pair


@dataclass
class Call:
    function: Global
    arguments: tuple
    state: tuple


LeafPickler.dispatch[Call] = lambda self, call: self.save_call(call.function, call.arguments,
                                                              call.state)


def leaf_bytes(leaf):
    out = io.BytesIO()
    write_leaf(out, leaf)
    return out.getvalue()


def write_leaf(file, leaf):
    """leaf: an Array or a Pair."""
    LeafPickler(file, protocol=4).dump(leaf)


class LeafUnpickler(pickle.Unpickler):
    """Builds Array and Pair; there is nothing else it could build."""

    def find_class(self, module, name):
        return {"_reconstruct": lambda *_: ReadArray(), "ndarray": None, "dtype": ReadDtype,
                "bfloat16": "bf16", "QuantizedWeight8bit": ReadPair}[name]


class ReadDtype:
    def __init__(self, name, *_):
        self.name = {"f4": "f32", "i1": "i8"}.get(name, name)

    def __setstate__(self, _):
        pass


class ReadArray:
    def __setstate__(self, state):
        _, self.shape, self.dtype, self.fortran, self.data = state

    def array(self):
        return Array(self.dtype.name, self.shape, self.data, self.fortran)


class ReadPair:
    def array(self):
        return Pair(self.weight.array(), self.scales.array())


def read_leaf(path):
    with open(path, "rb") as file:
        return LeafUnpickler(file).load().array()


def opcodes(data):
    """(opcode, argument, position) of a leaf, for tests that change one."""
    return list(pickletools.genops(data))
