# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Takes model.plan apart and signs it again, so that a test's change is met by
the verifier and the semantic check instead of the digest.
"""
import hashlib
import json
import os
import re
import struct
import subprocess
import tempfile

import tools

SCHEMA = os.path.join(tools.ROOT, "runtime", "plan", "plan.fbs")
BODY_ALIGNMENT = 64


def format_version():
    """The format version of the plans that grokc writes, from their schema."""
    with open(SCHEMA, encoding="utf-8") as schema:
        return int(re.search(r"enum FormatVersion .*current = (\d+)", schema.read()).group(1))


FORMAT_VERSION = format_version()


def read_body(plan):
    """(format version, bytes of the nested body) of the file's bytes."""
    table = struct.unpack_from("<I", plan, 0)[0]
    vtable = table - struct.unpack_from("<i", plan, table)[0]

    def field(number):
        return table + struct.unpack_from("<H", plan, vtable + 4 + 2 * number)[0]

    version = struct.unpack_from("<I", plan, field(0))[0]
    vector = field(2) + struct.unpack_from("<I", plan, field(2))[0]
    length = struct.unpack_from("<I", plan, vector)[0]
    return version, plan[vector + 4 : vector + 4 + length]


def signed(body, version=FORMAT_VERSION, identifier=b"GRKP"):
    """A plan file around `body`, with its true digest.

    Layout: root offset, identifier, vtable (10 bytes, padded to 12), the table
    (vtable offset, version, offset of the digest, offset of the body), vectors.
    """
    digest = hashlib.sha256(body).digest()
    vtable, table, digest_at = 8, 20, 36
    body_at = BODY_ALIGNMENT * 2 - 4  # of its length; the bytes follow, aligned
    head = struct.pack("<I4s", table, identifier)
    head += struct.pack("<5H2x", 10, 16, 4, 8, 12)
    head += struct.pack("<iIII", table - vtable, version, digest_at - (table + 8),
                        body_at - (table + 12))
    head += struct.pack("<I", len(digest)) + digest
    return head.ljust(body_at, b"\0") + struct.pack("<I", len(body)) + body


def flatc(*arguments):
    subprocess.run(["flatc", *arguments], check=True, stdout=subprocess.DEVNULL)


def to_json(body):
    """The plan as nested dicts and lists, named as in plan.fbs."""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "body.bin")
        with open(source, "wb") as file:
            file.write(body)
        flatc("--json", "--strict-json", "--raw-binary", "--root-type", "grok.plan.Plan",
              "-o", folder, SCHEMA, "--", source)
        with open(os.path.join(folder, "body.json"), encoding="utf-8") as file:
            return json.load(file)


def from_json(plan):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "body.json")
        with open(source, "w", encoding="utf-8") as file:
            json.dump(plan, file)
        flatc("--binary", "--root-type", "grok.plan.Plan", "-o", folder, SCHEMA, source)
        produced = [name for name in os.listdir(folder) if name != "body.json"]
        with open(os.path.join(folder, produced[0]), "rb") as file:
            return file.read()
