"""The trailer: what stands in it, and what becomes of one that is damaged."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from gguf import GGUFReader
from gguf_factory import read_header

from quantize_cli.gguf_file.trailer import MAGIC, encode_trailer, parse_trailer, trailer_bytes

DIGESTS = [bytes([number]) * 32 for number in range(4)]
RAW = encode_trailer(DIGESTS)


def signed(body):
    return body + hashlib.sha256(body).digest()


def test_what_is_encoded_is_decoded():
    assert len(RAW) == trailer_bytes(3)
    read = parse_trailer(RAW, 3)
    assert (read.header, [*read.tensors]) == (DIGESTS[0], DIGESTS[1:])


@pytest.mark.parametrize(
    ("raw", "tensors", "said"),
    [
        (b"x" + RAW[1:], 3, "does not begin as one does"),
        (RAW[:-1], 3, "has 175 bytes instead of 176"),
        (RAW, 4, "has 176 bytes instead of 208"),
        (RAW[:20] + b"\xff" + RAW[21:], 3, "does not have its own digest"),
        (signed(MAGIC + b"\2" + RAW[9:-32]), 3, "has version 2, which is not known here"),
        (signed(RAW[:12] + b"\5" + RAW[13:-32]), 3, "is that of 5 tensors, but the file has 3"),
    ],
)
def test_a_damaged_trailer_is_refused(raw, tensors, said):
    with pytest.raises(ValueError, match=said):
        parse_trailer(raw, tensors)


@pytest.mark.parametrize("name", ["whole.gguf", "parts-00001-of-00002.gguf", "parts-00002-of-00002.gguf"])
def test_it_holds_the_digests_of_what_another_reader_finds(name, made):
    """Its place and its contents follow from where the `gguf` package finds the tensors."""
    data, reader = (made / name).read_bytes(), GGUFReader(made / name)
    tensors = sorted(reader.tensors, key=lambda tensor: tensor.data_offset)
    read = parse_trailer(data[-trailer_bytes(len(tensors)) :], len(tensors))
    ends = [*(tensor.data_offset for tensor in tensors), len(data) - trailer_bytes(len(tensors))]
    assert [read.header, *read.tensors] == [hashlib.sha256(data[:end]).digest() for end in ends]
    header = read_header(made / name)
    assert [(a.offset, a.name) for a in header.tensors] == [(t.data_offset, t.name) for t in tensors]
    assert all(a.offset < b.offset for a, b in pairwise(header.tensors))


def test_without_provenance_nothing_follows_the_tensors(made):
    """All else is the same: the tensors, their order, and the reference's keys."""
    plain, whole = (read_header(made / name) for name in ("plain.gguf", "whole.gguf"))
    assert (made / "plain.gguf").stat().st_size == -(-plain.data_end // 32) * 32
    assert whole.fields[: len(plain.fields)] == plain.fields
    assert {field.key.split(".")[0] for field in whole.fields[len(plain.fields) :]} == {"quantize"}
    start, stop = whole.data_start, whole.data_end
    assert (made / "whole.gguf").read_bytes()[start:stop] == (made / "plain.gguf").read_bytes()[plain.data_start :]
