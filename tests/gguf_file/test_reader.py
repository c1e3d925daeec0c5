"""Every way a GGUF header can lie, held against llama.cpp's own reader, and what a good one says."""

from __future__ import annotations

import io
import re
import struct
import time
import tracemalloc
from array import array as packed
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType
from gguf_factory import Tensors, array, field, file, line, read_header, text, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import gguf as reference
from oracle.ggml import needs_ggml

from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import TensorEntry, encode_header
from quantize_cli.gguf_file.reader import MAX_HEADER_BYTES, MAX_ITEMS, MAX_TENSORS, GgufHeader, parse_header
from quantize_cli.gguf_file.types import TYPES_BY_NUMBER

V = GGUFValueType
PATH = Path("model.gguf")
ONE = struct.pack("<I", 1)


def parsed(content: bytes) -> GgufHeader:
    return parse_header(io.BytesIO(content), len(content), PATH)


def encoded(header: GgufHeader) -> bytes:
    """The header again, by our own writer; `gguf` has no number for every type."""
    entries = [TensorEntry(t.name, t.shape, t.type.number, t.nbytes) for t in header.tensors]
    return encode_header(header.fields, entries)


#: One field of every kind, text that is not UTF-8 and an empty array among them.
FIELDS = (
    field("general.architecture", V.STRING, text("llama")),
    field("u8", V.UINT8, b"\xff"),
    field("i8", V.INT8, b"\xff"),
    field("u16", V.UINT16, b"\xff\xfe"),
    field("i16", V.INT16, b"\xff\xfe"),
    field("u32", V.UINT32, b"\xff\xfe\xfd\xfc"),
    field("i32", V.INT32, b"\xff\xfe\xfd\xfc"),
    field("u64", V.UINT64, b"\xff" * 8),
    field("i64", V.INT64, b"\xff" * 8),
    field("f32", V.FLOAT32, struct.pack("<f", -0.1)),
    field("f64", V.FLOAT64, struct.pack("<d", 0.1)),
    field("no", V.BOOL, b"\0"),
    field("yes", V.BOOL, b"\1"),
    field("text", V.STRING, text("größer\0\n")),
    field("bytes", V.STRING, text(b"\xff\xfe")),
    array("numbers", V.INT16, 2, b"\1\0\2\0"),
    array("truths", V.BOOL, 2, b"\1\0"),
    array("texts", V.STRING, 2, text("a") + text("")),
    array("mixed", V.STRING, 2, text("a") + text(b"\xff")),
    array("none", V.FLOAT32, 0, b""),
    array("no texts", V.STRING, 0, b""),
)
LINES = (
    line("a.weight", (32, 3), 8, 0),  # Q8_0: 102 bytes
    line("b.weight", (5,), 0, 128),
    line("c.weight", (2, 3, 4), 1, 160),
)
GOOD = file(FIELDS, LINES, bytes(160 + 48))


def test_every_kind_of_field_and_the_table():
    header = parsed(GOOD)
    assert {held.key: held.value for held in header.fields} == {
        "general.architecture": "llama",
        "u8": 255,
        "i8": -1,
        "u16": 0xFEFF,
        "i16": -257,
        "u32": 0xFCFDFEFF,
        "i32": -50462977,
        "u64": 2**64 - 1,
        "i64": -1,
        "f32": float(np.float32(-0.1)),
        "f64": 0.1,
        "no": False,
        "yes": True,
        "text": "größer\0\n",
        "bytes": b"\xff\xfe",
        "numbers": packed("h", (1, 2)),
        "truths": (True, False),
        "texts": ("a", ""),
        "mixed": (b"a", b"\xff"),
        "none": packed("f"),
        "no texts": (),
    }
    assert header.fields[15] == Field("numbers", ValueType.ARRAY, packed("h", (1, 2)), ValueType.INT16)
    assert header.fields[1] == Field("u8", ValueType.UINT8, 255)
    found = [(t.name, t.shape, t.type.name, t.offset - header.data_start, t.nbytes) for t in header.tensors]
    assert found == [
        ("a.weight", (3, 32), "Q8_0", 0, 102),
        ("b.weight", (5,), "F32", 128, 20),
        ("c.weight", (4, 3, 2), "F16", 160, 48),
    ]
    assert (header.alignment, header.data_start) == (32, len(GOOD) - 208)


def test_written_again_it_is_the_same():
    assert encoded(parsed(GOOD)) == GOOD[:-208]


def test_version_2_reads_like_version_3():
    assert parsed(GOOD.replace(b"GGUF\x03", b"GGUF\x02", 1)) == parsed(GOOD)


def test_a_scalar_is_a_vector_of_one():
    (tensor,) = parsed(file((), (line("a", ()),), bytes(4))).tensors
    assert (tensor.shape, tensor.nbytes) == ((1,), 4)


def test_without_tensors_nothing_is_padded():
    header = parsed(file(FIELDS[:1]))
    assert (header.tensors, header.data_start) == ((), len(file(FIELDS[:1])))


def test_alignment():
    fields = (field("general.alignment", V.UINT32, struct.pack("<I", 64)),)
    lines = (line("a", (1,)), line("b", (1,), 0, 64))
    header = parsed(file(fields, lines, bytes(68), alignment=64))
    assert header.alignment == 64
    assert header.data_start % 64 == 0
    assert [t.offset - header.data_start for t in header.tensors] == [0, 64]


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q8_0", "Q4_K", "IQ4_NL", "TQ1_0", "MXFP4", "I32"])
def test_files_of_the_gguf_package(tmp_path, name):
    held = GGMLQuantizationType[name]
    block, nbytes = GGML_QUANT_SIZES[held]
    rows = np.arange(2 * nbytes, dtype=np.uint8).reshape(1, 2, nbytes)
    tensors: Tensors = {"a": (rows, held), "b": np.ones((2, 3), np.float32)}
    write_gguf(tmp_path / "model.gguf", tensors, {"list": ((1.5, 2.5), V.ARRAY, V.FLOAT32)})
    header = read_header(tmp_path / "model.gguf")
    theirs = GGUFReader(tmp_path / "model.gguf")
    assert [(t.name, t.type.name, t.offset, t.nbytes) for t in header.tensors] == [
        (t.name, t.tensor_type.name, t.data_offset, t.n_bytes) for t in theirs.tensors
    ]
    assert header.tensors[0].shape == (1, 2, block)
    assert header.data_start == theirs.data_offset
    assert [f.key for f in header.fields] == ["general.architecture", "list"]


@needs_ggml
def test_the_reference_takes_the_good_file():
    assert reference.takes(GOOD)


@needs_ggml
def test_types_are_ggmls():
    theirs = {number: reference.tensor_type(number) for number in range(43)}
    present = {number: held for number, held in theirs.items() if held[2]}
    ours = {held.number: (held.name.lower(), held.block_size, held.block_bytes) for held in TYPES_BY_NUMBER.values()}
    assert ours == {number: (name.lower(), *sizes) for number, (name, *sizes) in present.items()}


FIELD = FIELDS[0]
# (what is wrong, the file, what the sentence must say)
BROKEN = [
    ("empty", b"", "is empty, so it cannot be read as a GGUF file"),
    ("three bytes", b"GGU", "is not a GGUF file, because it begins with b'GGU'"),
    ("no version", b"GGUF\3\0", "is not complete: it ends at byte 6, within its header"),
    ("more fields than fit", file(counts=(0, 2**63)), "it states that 9,223,372,036,854,775,808 items of 14 bytes"),
    ("more tensors than fit", file(counts=(2**62, 0)), "it states that 4,611,686,018,427,387,904 items of 24 bytes"),
    (
        "key cut off",
        file((struct.pack("<Q", 2**60),), counts=(0, 1)) + bytes(9),
        "states that 1,152,921,504,606,846,976 items",
    ),
    ("empty key", file((field("", V.UINT32, ONE),)), "one of its keys is empty"),
    ("key twice", file((FIELD, FIELD)), "it has the key 'general.architecture' twice"),
    ("unknown value type", file((field("a", 13, ONE),)), "in the value of 'a', the type is 13"),
    ("array of arrays", file((array("a", V.ARRAY, 1, bytes(12)),)), "in the value of 'a', the type is 9"),
    ("array of nothing known", file((array("a", 99, 0, b""),)), "in the value of 'a', the type is 99"),
    ("text cut off", file((field("a", V.STRING, struct.pack("<Q", 9)),)), "is not complete: it ends at byte "),
    (
        "2^61 numbers",
        file((array("a", V.UINT64, 2**61, b""),)),
        "it has 2,305,843,009,213,693,952 items, but 4,194,304 is the limit",
    ),
    (
        "2^61 texts",
        file((array("a", V.STRING, 2**61, b""),)),
        "it has 2,305,843,009,213,693,952 items, but 4,194,304 is the limit",
    ),
    (
        "one number missing",
        file((array("a", V.UINT32, 2, ONE),)),
        "is not complete: it ends at byte 53, within its header",
    ),
    ("alignment 0", file((field("general.alignment", V.UINT32, bytes(4)),)), "is 0 (UINT32) instead of a power of 2"),
    ("alignment 3", file((field("general.alignment", V.UINT32, b"\3\0\0\0"),)), "is 3 (UINT32) instead of a power"),
    ("alignment as text", file((field("general.alignment", V.STRING, text("32")),)), "is '32' (STRING) instead of"),
    (
        "tensor twice",
        file((), (line("a", (8,)), line("a", (8,), 0, 32)), bytes(64)),
        "it has the tensor 'a' twice",
    ),
    ("long name", file((), (line("a" * 64, (1,)),), bytes(4)), "is longer than 63 bytes"),
    ("5 dimensions", file((), (line("a", (1,) * 5),), bytes(4)), "has 5 dimensions, but 4 is the limit"),
    ("2^32 - 1 dimensions", file((), (text("a") + b"\xff" * 24,)), "has 4294967295 dimensions"),
    (
        "negative dimension",
        file((), (line("a", (2**64 - 1,)),), bytes(4)),
        "of shape [18446744073709551615] is larger than any file",
    ),
    ("overflowing product", file((), (line("a", (2**32, 2**32, 4)),), bytes(4)), "is larger than any file"),
    ("half a block", file((), (line("a", (48,), 2),), bytes(99)), "not a multiple of 32, the block size of Q4_0"),
    ("not at the start", file((), (line("a", (1,), 0, 32),), bytes(64)), "begins at byte 32 of the data instead of 0"),
    (
        "overlap",
        file((), (line("a", (9,)), line("b", (1,), 0, 32)), bytes(99)),
        "begins at byte 32 of the data instead",
    ),
    (
        "hole",
        file((), (line("a", (1,)), line("b", (1,), 0, 64)), bytes(99)),
        "'b' begins at byte 64 of the data instead",
    ),
    (
        "unaligned",
        file((), (line("a", (1,)), line("b", (1,), 0, 4)), bytes(99)),
        "begins at byte 4 of the data instead",
    ),
    ("huge offset", file((), (line("a", (1,), 0, 2**64 - 32),), bytes(4)), "begins at byte 18446744073709551584"),
    (
        "data cut off",
        file((), (line("a", (2,)),), bytes(7)),
        "is not complete: it has 71 of 72 bytes, so 1 of them are missing",
    ),
    (
        "no padding",
        file((), (line("a", (2,)),))[:-1],
        "is not complete: it has 63 of 72 bytes, so 9 of them are missing",
    ),
    ("no elements", file((), (line("a", (4, 0)),)), "'a' of shape [0, 4] has no elements"),
    (
        "key of a zero byte",
        file((field("a\0", V.UINT32, ONE),)),
        "one of its keys is b'a\\x00', which is not printable text",
    ),
    (
        "key not UTF-8",
        file((field(b"\xff", V.UINT32, ONE),)),
        "one of its keys is b'\\xff', which is not printable text",
    ),
    ("name not UTF-8", file((), (line(b"\xff", (1,)),), bytes(4)), "tensor names is b'\\xff', which is not printable"),
    (
        "name that paints",
        file((), (line("a\33[2J", (1,)),), bytes(4)),
        "tensor names is b'a\\x1b[2J', which is not printable",
    ),
    (
        "name of two lines",
        file((), (line("a\nb", (1,)),), bytes(4)),
        "tensor names is b'a\\nb', which is not printable",
    ),
    (
        "alignment 2^31",
        file((field("general.alignment", V.UINT32, struct.pack("<I", 1 << 31)),), (line("a", (1,)),)),
        "of them are missing",
    ),
]
#: What the reference's reader lets pass: it looks for the data later, or never at the text, and divides by no elements.
STRICTER = {"no elements", "data cut off", "key of a zero byte", "key not UTF-8", "name not UTF-8", "name that paints",
    "name of two lines"}  # fmt: skip
IDS = [row[0] for row in BROKEN]


@pytest.mark.parametrize(("content", "says"), [row[1:] for row in BROKEN], ids=IDS)
def test_broken_header_is_one_sentence(content, says):
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
            parsed(content)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    message = str(raised.value)
    assert message.startswith("model.gguf is ")
    assert message.endswith(("download it again.", "or take it from another source."))
    assert len(message) < 500
    assert "\n" not in message


@needs_ggml
@pytest.mark.parametrize(("name", "content"), [row[:2] for row in BROKEN], ids=IDS)
def test_the_reference_agrees(name, content):
    assert reference.takes(content) == (name in STRICTER)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (4, "which llama.cpp has removed; take a newer file"),
        (31, "has removed"),
        (38, "has removed"),
        (43, "not known"),
    ],
)
def test_types_that_ggml_does_not_have(number, says):
    content = file((), (line("a", (32,), number),), bytes(99))
    with pytest.raises(UnsupportedError, match=f"model.gguf: tensor 'a' is of GGML type {number}, which .*{says[6:]}"):
        parsed(content)


# (what it is, its first bytes, what the sentence must say)
OTHERS = [
    ("version 0", b"GGUF\0\0\0\0", UnsupportedError, "has GGUF version 0, which is not supported"),
    ("version 1", b"GGUF\1\0\0\0", UnsupportedError, "has GGUF version 1, which is not supported"),
    ("version 4", b"GGUF\4\0\0\0", UnsupportedError, "has GGUF version 4, which is not supported"),
    ("big-endian", b"GGUF\0\0\0\3", UnsupportedError, "is a big-endian GGUF file; take the little-endian one"),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", CheckpointError, "is a Git LFS pointer, not"),
    ("GGJT", b"tjgg\3\0\0\0", CheckpointError, "is in GGML's format before GGUF"),
    ("nothing known", b"abcd\3\0\0\0", CheckpointError, "is not a GGUF file, because it begins with b'abcd'"),
]


@pytest.mark.parametrize(("start", "kind", "says"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_other_files(start, kind, says):
    with pytest.raises(kind, match=re.escape(says)):
        parsed(file(FIELDS, LINES, bytes(208), start=start))


@needs_ggml
@pytest.mark.parametrize("start", [row[1] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_the_reference_takes_no_other_files(start):
    assert not reference.takes(file(FIELDS, LINES, bytes(208), start=start))


def test_no_beginning_of_a_file_is_a_file():
    for length in range(len(GOOD)):
        with pytest.raises(CheckpointError):
            parsed(GOOD[:length])


def test_a_file_that_shrinks_while_it_is_read():
    with pytest.raises(CheckpointError, match="it became shorter while it was read"):
        parse_header(io.BytesIO(GOOD[:100]), len(GOOD), PATH)


@needs_ggml
@settings(derandomize=True, max_examples=500)
@given(st.data())
def test_a_changed_byte_never_escapes_and_what_passes_the_reference_takes_too(data):
    content = bytearray(GOOD)
    content[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = parsed(bytes(content))
    except QuantizeError:
        return
    assert reference.takes(bytes(content))
    assert all(tensor.offset + tensor.nbytes <= len(content) for tensor in header.tensors)


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=200))
def test_only_our_errors_escape(tail):
    try:
        header = parsed(b"GGUF\3\0\0\0" + tail)
    except QuantizeError:
        return
    assert header.data_start <= 208


def test_a_huge_header_is_refused_unread(tmp_path):
    path = tmp_path / "model.gguf"
    count = 2 * MAX_HEADER_BYTES
    with path.open("wb") as opened:
        opened.write(file((array("a", V.UINT8, count, b""),)))
        opened.truncate(opened.tell() + count)  # sparse
    tracemalloc.start()
    try:
        with pytest.raises(
            CheckpointError,
            match="it has 128,000,000 items, but 4,194,304 is the limit",
        ):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (file((array("a", V.STRING, MAX_ITEMS + 1, b""),)), f"it has {MAX_ITEMS + 1:,} items, but {MAX_ITEMS:,} is"),
        (file((), counts=(MAX_TENSORS + 1, 0)) + bytes(32 * MAX_TENSORS), f"{MAX_TENSORS + 1:,} tensors, but "),
        (
            file((array("a", V.UINT64, MAX_ITEMS, bytes(8 * MAX_ITEMS)),) * 2),
            "its header is over the limit of 64000000",
        ),
    ],
    ids=["items", "tensors", "bytes"],
)
def test_limits(content, says):
    with pytest.raises(CheckpointError, match=re.escape(says)):
        parse_header(io.BytesIO(content + bytes(8 * MAX_ITEMS)), 100_000_000 + len(content), PATH)


def test_a_large_vocabulary_reads_fast():
    tokens = b"".join(text(f"token{i}") for i in range(150_000))
    merges = b"".join(text(f"a{i} b{i}") for i in range(280_000))
    content = file((array("tokens", V.STRING, 150_000, tokens), array("merges", V.STRING, 280_000, merges)))
    start = time.thread_time()
    header = parsed(content)
    assert time.thread_time() - start < 2  # 0.2 s where it was written
    assert [len(held.value) for held in header.fields] == [150_000, 280_000]
    start = time.thread_time()
    assert encoded(header).startswith(content)
    assert time.thread_time() - start < 2  # 0.1 s where it was written
