"""What hostile files of less than 10 MB cost before they are refused or taken: processor seconds and memory.

Each file is read in a process of its own, which reports its peak of memory and its processor time.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFValueType
from gguf_factory import array, field, file, line, text

from quantize_cli.checkpoints.sidecars import INDEX_NAME

V = GGUFValueType
SIZE = 9_500_000
MAX_SECONDS, MAX_BYTES = 10, 512 << 20

CHILD = """
import json, resource, sys
from pathlib import Path
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import QuantizeError
from quantize_cli.importance.read import read_importance
from quantize_cli.report.memory import peak_memory

path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    (read_importance if path.stem == "imatrix" else open_checkpoint)(path)
    said = "taken"
except QuantizeError as error:
    said = str(error)
after = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([said, after.ru_utime - before.ru_utime, peak_memory()]))
"""


def safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def entries(count: int) -> bytes:
    held = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    return json.dumps({f"{i:x}": held for i in range(count)}, separators=(",", ":")).encode()


def legacy(count: int) -> bytes:
    return struct.pack("<i", count) + b"".join(struct.pack("<i5s2if", 5, b"%05x" % i, 1, 1, 1.0) for i in range(count))


def lines(count: int) -> list[bytes]:
    return [line(f"{i:05x}", (1,), 0, 32 * i) for i in range(count)]


#: Name of the file -> its content, and what is said of it.
CASES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty texts": (
        "m.gguf",
        lambda: file((array("a", V.STRING, SIZE // 8, bytes(SIZE // 8 * 8)),)),
        "does not hold any tensors",
    ),
    "short texts": (
        "m.gguf",
        lambda: file((array("a", V.STRING, SIZE // 11, b"".join(text(f"{i % 4096:03x}") for i in range(SIZE // 11))),)),
        "does not hold any tensors",
    ),
    "numbers": (
        "m.gguf",
        lambda: file([array(str(i), V.UINT8, SIZE // 3, bytes(SIZE // 3)) for i in range(3)]),
        "does not hold any tensors",
    ),
    "truths": (
        "m.gguf",
        lambda: file([array(str(i), V.BOOL, SIZE // 3, bytes(SIZE // 3)) for i in range(3)]),
        "does not hold any tensors",
    ),
    "fields": (
        "m.gguf",
        lambda: file([field(f"{i:07x}", V.UINT8, b"\1") for i in range(SIZE // 20)]),
        "does not hold any tensors",
    ),
    "tensors": ("m.gguf", lambda: file((), lines(65536), bytes(32 * 65536)), "taken"),
    "too many tensors": ("m.gguf", lambda: file((), lines(70000)), "70,000 tensors, but 65,536 is the limit"),
    "entries": ("m.safetensors", lambda: safetensors(entries(SIZE // 60)), "taken"),
    "lists": ("m.safetensors", lambda: safetensors(b'{"a":[' + b"[]," * (SIZE // 3) + b"0]}"), "instead of an object"),
    "objects": (
        "m.safetensors",
        lambda: safetensors(b'{"a":[' + b"{}," * (SIZE // 3) + b"0]}"),
        "instead of an object",
    ),
    "shards": (
        INDEX_NAME,
        lambda: json.dumps({"weight_map": {f"{i:x}": f"{i:x}.safetensors" for i in range(SIZE // 32)}}).encode(),
        "names 296,875 files, but 10,000 is the limit",
    ),
    "importances": ("imatrix.dat", lambda: legacy(65536), "taken"),
    "too many importances": ("imatrix.dat", lambda: legacy(65537), "bytes cannot hold 65537 entries"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_small_file_costs_little(tmp_path, case):
    name, content, says = CASES[case]
    path = Path(tmp_path / name)
    assert path.write_bytes(content()) < 10_000_000
    done = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
    said, seconds, peak = json.loads(done.stdout)
    assert says in said
    assert len(said) < 500
    assert seconds < MAX_SECONDS
    assert peak < MAX_BYTES
