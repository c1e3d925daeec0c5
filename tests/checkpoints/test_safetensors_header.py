"""Every way a safetensors header can lie, and that nothing but our own errors comes out of one."""

from __future__ import annotations

import json
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.safetensors_header import DTYPE_BITS, Located, parse_header, read_header
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError

WHERE = "org/name/model.safetensors"


def entry(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def without(key):
    return {name: value for name, value in entry().items() if name != key}


# (what is wrong, the header's JSON as a value or as bytes, bytes of data after it, what the sentence must say)
BROKEN = [
    ("empty", b"", 0, "not a JSON object (Expecting value"),
    ("not an object", b"[1]", 0, "not a JSON object (it is [1])"),
    ("byte order mark", b"\xef\xbb\xbf{}", 0, "not a JSON object (Unexpected UTF-8 BOM"),
    ("not UTF-8", b'{"\xff": 1}', 0, "utf-8"),
    ("not JSON", b'{"a": ', 0, "not a JSON object"),
    ("two objects", b"{}{}", 0, "not a JSON object (Extra data"),
    ("padded with zeros", b"{}\0\0", 0, "not a JSON object"),
    ("deep nesting", b'{"a":' + b"[" * 200_000, 0, "nested too deeply"),
    ("number of 5,000 digits", b'{"a": ' + b"9" * 5000 + b"}", 0, "not a JSON object"),
    ("same tensor twice", b'{"a": 1, "a": 2}', 0, "it has the key 'a' 2 times"),
    ("same key twice in a tensor", b'{"a": {"dtype": "F32", "dtype": "F16"}}', 0, "it has the key 'dtype' 2 times"),
    ("lone surrogate in a name", b'{"\\ud800": 1}', 0, "not a JSON object"),
    ("name that paints", {"a\33[2J": entry()}, 8, "the tensor name 'a\\x1b[2J' is not printable text"),
    ("entry is no object", {"a": [1]}, 0, "tensor 'a' is [1] instead of an object"),
    ("no dtype", {"a": without("dtype")}, 8, "tensor 'a' has the dtype None"),
    ("dtype is a number", {"a": entry(dtype=3)}, 8, "tensor 'a' has the dtype 3"),
    ("no shape", {"a": without("shape")}, 8, "tensor 'a' has the shape None"),
    ("shape is text", {"a": entry() | {"shape": "2"}}, 8, "tensor 'a' has the shape '2'"),
    ("negative dimension", {"a": entry(shape=(-2,))}, 8, "tensor 'a' has the shape [-2]"),
    ("fractional dimension", {"a": entry(shape=(2.0,))}, 8, "tensor 'a' has the shape [2.0]"),
    ("true as a dimension", {"a": entry(shape=(2, True))}, 8, "tensor 'a' has the shape [2, True]"),
    ("65 dimensions", {"a": entry(shape=[1] * 65, end=4)}, 4, "tensor 'a' has the shape [1, 1, 1"),
    ("huge dimension", {"a": entry(shape=(2**63,))}, 8, "larger than any file"),
    ("overflowing product", {"a": entry(shape=(2**32, 2**32, 4))}, 8, "larger than any file"),
    ("overflow hidden by a zero", {"a": entry(shape=(0, 2**62), end=0)}, 0, "larger than any file"),
    ("no offsets", {"a": without("data_offsets")}, 8, "tensor 'a' has the data_offsets None"),
    ("three offsets", {"a": entry() | {"data_offsets": [0, 8, 8]}}, 8, "has the data_offsets [0, 8, 8]"),
    ("negative offset", {"a": entry(begin=-8, end=0)}, 8, "has the data_offsets [-8, 0]"),
    ("offset is text", {"a": entry(end="8")}, 8, "has the data_offsets [0, '8']"),
    ("begin after end", {"a": entry(begin=8, end=0)}, 8, "does not fill its data_offsets [8, 0]"),
    ("fewer bytes than the shape", {"a": entry(shape=(3,))}, 8, "F32 of shape [3], does not fill its data_offsets"),
    ("more bytes than the shape", {"a": entry(shape=(1,))}, 8, "F32 of shape [1], does not fill its data_offsets"),
    ("half a byte", {"a": entry("F4", (3,), end=1)}, 1, "F4 of shape [3], does not fill its data_offsets"),
    (
        "outside the file",
        {"a": entry(), "b": entry(begin=8, end=16)},
        12,
        "is not complete: it has 143 of 147 bytes, so 4 of them are missing",
    ),
    ("overlap", {"a": entry(), "b": entry(begin=4, end=12)}, 12, "'b' begins at byte 4, overlapping"),
    ("same bytes twice", {"a": entry(), "b": entry()}, 8, "'b' begins at byte 0, overlapping"),
    ("hole", {"a": entry(), "b": entry(begin=12, end=20)}, 20, "'b' begins at byte 12, leaving a hole"),
    ("hole at the start", {"a": entry(begin=8, end=16)}, 16, "'a' begins at byte 8, leaving a hole"),
    ("empty tensor far away", {"a": entry(shape=(0,), begin=10**4000, end=10**4000)}, 0, "leaving a hole"),
    ("huge offsets", {"a": entry(end=10**4000)}, 8, "does not fill its data_offsets"),
    ("bytes left over", {"a": entry()}, 9, "1 bytes follow its last tensor"),
]


@pytest.mark.parametrize(("header", "data_bytes", "says"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_broken_header_is_one_sentence(header, data_bytes, says):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
        parse_header(text, data_bytes, WHERE)
    message = str(raised.value)
    assert message.startswith((f"{WHERE} is damaged: ", f"{WHERE} is not complete: "))
    assert message.endswith(("download it again.", "or take it from another source."))
    assert len(message) < 500
    assert "\n" not in message


#: The format allows it. NumPy could not hold an array of such a shape; such a name must not reach a terminal.
STRICTER = {"65 dimensions", "overflow hidden by a zero", "name that paints"}


@pytest.mark.parametrize(("name", "header", "data_bytes"), [row[:3] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_the_library_agrees(name, header, data_bytes):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file = len(text).to_bytes(8, "little") + text + bytes(data_bytes)
    if name in STRICTER:
        assert deserialize(file)
    else:
        with pytest.raises(SafetensorError):
            deserialize(file)


def test_unknown_dtype_is_named():
    with pytest.raises(UnsupportedError, match="tensor 'a' has the unknown dtype 'F7'"):
        parse_header(json.dumps({"a": entry("F7")}).encode(), 8, WHERE)


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_dtype_of_the_format_is_known_with_its_size(dtype):
    nbytes = DTYPE_BITS[dtype]  # of 8 elements
    text = json.dumps({"a": entry(dtype, (8,), end=nbytes)}).encode()
    (tensor,) = parse_header(text, nbytes, WHERE)
    assert tensor == Located(TensorInfo("a", dtype, (8,), nbytes, "model.safetensors"), 8 + len(text))
    assert deserialize(len(text).to_bytes(8, "little") + text + bytes(nbytes))[0][1]["dtype"] == dtype


def test_metadata_and_unknown_keys_are_ignored():
    text = json.dumps({"__metadata__": {"format": "pt"}, "a": entry(more=1)}).encode() + b"   "
    assert [tensor.info.name for tensor in parse_header(text, 8, WHERE)] == ["a"]


def test_tensors_come_sorted_by_name_with_their_place_in_the_file():
    text = json.dumps({"b": entry(), "c": entry(shape=(0,), begin=8), "a": entry("F16", begin=8, end=12)}).encode()
    found = [(tensor.info.name, tensor.offset - 8 - len(text)) for tensor in parse_header(text, 12, WHERE)]
    assert found == [("a", 8), ("b", 0), ("c", 8)]


def test_ten_thousand_tensors_parse_fast():
    tensors = {f"model.layers.{i}.mlp.up_proj.weight": entry(begin=8 * i, end=8 * i + 8) for i in range(10_000)}
    text = json.dumps(tensors).encode()
    start = time.process_time()
    assert len(parse_header(text, 80_000, WHERE)) == 10_000
    assert time.process_time() - start < 2  # 0.1 s where it was written


# (what is wrong, the file's bytes, what the sentence must say)
BROKEN_FILES = [
    ("empty file", b"", "is empty, so it cannot be read as a safetensors file; download it again"),
    ("seven bytes", b"\1" * 7, "it is only 7 bytes long"),
    ("header larger than the file", (100).to_bytes(8, "little") + b"{}", "it has 10 of 108 bytes, so 98 of them are"),
    ("header of 2^64 - 1 bytes", b"\xff" * 8 + b"{}", "is over the format's limit of 100,000,000"),
    ("header of nothing", bytes(8) + b"x", "not a JSON object (Expecting value"),
    ("Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the file itself"),
    ("web page", b"<!DOCTYPE html>\n<html>", "is a web page, so it cannot be read as a safetensors file; download"),
    ("pickle", b"\x80\x02}q\0.", "is a Python pickle, as PyTorch writes it"),
    ("zip archive", b"PK\3\4" + bytes(99), "is a zip archive, as PyTorch writes it"),
    ("GGUF", b"GGUF\3\0\0\0{" + bytes(99), "is a GGUF file, so it cannot be read as a safetensors file; rename it"),
    ("JSON", b'{"error": "Invalid username or password."}', "is JSON text, as a server's error message is"),
    ("zeros", bytes(9999), "is filled with zeros, as an interrupted download leaves it"),
    ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\2\3" + bytes(99), "is compressed with gzip"),
    (
        "last byte missing",
        save({"a": np.ones(4, np.float32)})[:-1],
        "is not complete: it has 79 of 80 bytes, so 1 of them are missing",
    ),
    ("one byte more", save({"a": np.ones(4, np.float32)}) + b"\0", "1 bytes follow its last tensor"),
]


@pytest.mark.parametrize(("content", "says"), [row[1:] for row in BROKEN_FILES], ids=[row[0] for row in BROKEN_FILES])
def test_broken_file_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
        read_header(path)
    assert str(path) in str(raised.value)


def test_header_over_the_librarys_limit_is_refused_unread(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)  # sparse
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="over the format's limit of 100,000,000"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


scalars = st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | st.text(max_size=5)
near_entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*DTYPE_BITS, "F7"]) | scalars,
        "shape": st.lists(st.integers(-1, 4) | scalars, max_size=4) | scalars,
        "data_offsets": st.lists(st.integers(-1, 64) | scalars, max_size=3) | scalars,
    },
)
headers = st.one_of(
    st.binary(max_size=64),
    st.dictionaries(st.text(max_size=3), near_entries | scalars, max_size=4).map(
        lambda value: json.dumps(value).encode()
    ),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8).map(
        lambda value: json.dumps({"a": value}).encode()
    ),
)


#: Why a header is refused here that the library takes.
REASONS = (
    "is not printable text",  # a name reaches terminals
    "larger than any file",  # hidden by a dimension of 0
    "has the shape [",  # more dimensions than NumPy has
    "times)",  # a key twice: readers differ in which one counts
    "does not fill its data_offsets",  # the library rounds F4 and F6 to bytes, and takes empty tensors anywhere
    "leaving a hole",
    "has half of a surrogate pair",
    "nested too deeply",
)


def held_by_the_library(file: bytes) -> dict[str, tuple[str, tuple[int, ...]]] | None:
    """Name -> dtype and shape, as the library finds them; None if it refuses the file."""
    try:
        return {name: (held["dtype"], tuple(held["shape"])) for name, held in deserialize(file)}
    except SafetensorError:
        return None


def parsed(header: bytes, data_bytes: int, theirs: object) -> list[Located] | None:
    """The tensors, or None if they are refused, for a reason of which one is ours where the library takes them."""
    try:
        return parse_header(header, data_bytes, WHERE)
    except QuantizeError as error:
        said = str(error)
    assert theirs is None or any(reason in said for reason in REASONS), (said, theirs)
    return None


@given(headers, st.integers(0, 64))
def test_only_our_errors_escape_and_the_library_agrees(header, data_bytes):
    theirs = held_by_the_library(len(header).to_bytes(8, "little") + header + bytes(data_bytes))
    tensors = parsed(header, data_bytes, theirs)
    if tensors is None:
        return
    assert sum(tensor.info.nbytes for tensor in tensors) == data_bytes
    if b"__metadata__" not in header:
        assert theirs == {tensor.info.name: (tensor.info.dtype, tensor.info.shape) for tensor in tensors}


@given(st.data())
def test_a_changed_byte_in_a_good_header_never_escapes(data):
    good = save({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)})
    length = int.from_bytes(good[:8], "little")
    header = bytearray(good[8 : 8 + length])
    header[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    theirs = held_by_the_library(good[:8] + header + good[8 + length :])
    tensors = parsed(bytes(header), len(good) - 8 - length, theirs)
    if tensors is None:
        return
    assert sum(tensor.info.nbytes for tensor in tensors) == 32
    assert theirs == {tensor.info.name: (tensor.info.dtype, tensor.info.shape) for tensor in tensors}


def test_a_local_file_is_read_by_the_library_too(tmp_path, monkeypatch):
    """Metadata is the library's alone to check; and what both take must be the same."""
    path = tmp_path / "model.safetensors"
    text = json.dumps({"__metadata__": {"format": 7}, "a": entry()}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(CheckpointError, match="is damaged: the safetensors library refuses it"):
        read_header(path)
    path.write_bytes(save({"a": np.ones(2, np.float32)}))
    stamp, tensors = read_header(path)
    assert (stamp[0], [tensor.info.name for tensor in tensors]) == (path.stat().st_size, ["a"])
    other = tmp_path / "other.safetensors"
    other.write_bytes(save({"a": np.ones(2, np.int32)}))
    monkeypatch.setattr("safetensors.safe_open", lambda _path, framework: safe_open(other, framework))
    with pytest.raises(CheckpointError, match="is damaged: the safetensors library finds other tensors in it"):
        read_header(path)
