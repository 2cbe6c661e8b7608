# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which CPU levels this machine can run."""

NEEDS = {
    "x86-64-v2": {"sse4_2"},
    "x86-64-v3": {"avx2", "fma"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_vnni"},
    "x86-64-v4-amx": {"avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"},
}


def missing(level):
    """Features of /proc/cpuinfo that the level needs and this CPU lacks."""
    with open("/proc/cpuinfo", encoding="ascii") as info:
        line = next(line for line in info if line.startswith("flags"))
    return NEEDS[level] - set(line.split(":")[1].split())


def can_run(level):
    return not missing(level)
