"""Importance matrices in both file formats, held against float32 arithmetic done one value at a time."""

from __future__ import annotations

import os
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFValueType
from gguf_factory import array, field, file, line, write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli.errors import CheckpointError, QuantizeError, UsageError
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.importance.read import read_importance

V = GGUFValueType
F = np.float32
#: Of two experts with three columns each; the second expert was never asked. Then an entry of one expert.
SUMS = {"blk.0.ffn_up_exps.weight": ((0.1, 7.0, 1e-40), (5.0, 6.0, 7.0)), "blk.0.attn_q.weight": ((3.3, 0.0, 1e38),)}
COUNTS = {"blk.0.ffn_up_exps.weight": (3.0, 0.0), "blk.0.attn_q.weight": (512.0,)}
METADATA = {
    "general.type": ("imatrix", V.STRING),
    "imatrix.datasets": (("wiki.txt", "more.txt"), V.ARRAY, V.STRING),
    "imatrix.chunk_count": (7, V.UINT32),
    "imatrix.chunk_size": (512, V.UINT32),
}


def write_matrix(path: Path, sums=SUMS, counts=COUNTS, metadata=METADATA, **more: np.ndarray) -> Path:
    """As llama-imatrix writes it: [columns, experts] and [1, experts] in GGML's order."""
    tensors = {f"{name}.in_sum2": np.array(values, np.float32) for name, values in sums.items()}
    tensors |= {f"{name}.counts": np.array(values, np.float32)[:, np.newaxis] for name, values in counts.items()}
    write_gguf(path, tensors | more, metadata)
    return path


def legacy(*entries: tuple[str | bytes, int, tuple[float, ...]], tail: bytes = b"", count: int | None = None) -> bytes:
    """As llama-imatrix wrote it: name, calls, means times calls."""
    parts = [struct.pack("<i", len(entries) if count is None else count)]
    for name, calls, values in entries:
        raw = name.encode() if isinstance(name, str) else name
        parts += struct.pack("<i", len(raw)), raw, struct.pack(f"<2i{len(values)}f", calls, len(values), *values)
    return b"".join(parts) + tail


def dataset(name: bytes, chunks: int = 7) -> bytes:
    return struct.pack("<2i", chunks, len(name)) + name


def assert_is(matrix: ImportanceMatrix, entries: dict[str, tuple[tuple[np.float32, ...], ...]]) -> None:
    assert sorted(matrix.entries) == sorted(entries)
    for name, rows in entries.items():
        held = matrix.entries[name]
        assert held.dtype == np.float32
        assert held.shape == (len(rows), len(rows[0]))
        assert held.tobytes() == b"".join(value.tobytes() for row in rows for value in row)


def test_means_of_a_gguf_file(tmp_path):
    matrix = read_importance(write_matrix(tmp_path / "imatrix.gguf"))
    assert_is(
        matrix,
        {
            "blk.0.ffn_up_exps.weight": ((F(0.1) / F(3), F(7) / F(3), F(1e-40) / F(3)), (F(1), F(1), F(1))),
            "blk.0.attn_q.weight": ((F(3.3) / F(512), F(0), F(1e38) / F(512)),),
        },
    )
    assert (matrix.file, matrix.datasets, matrix.chunks) == (
        str(tmp_path / "imatrix.gguf"),
        ("wiki.txt", "more.txt"),
        7,
    )


@pytest.mark.parametrize(
    ("count", "divisor"),
    [(0.49, None), (0.5, 1), (1.4, 1), (2.5, 3), (-3.0, None), (16777217.0, 16777216), (1e20, 1e20)],
)
def test_counts_are_rounded_as_lround_does(tmp_path, count, divisor):
    path = write_matrix(tmp_path / "i.gguf", {"a": ((7.7,),)}, {"a": (count,)})
    assert_is(read_importance(path), {"a": ((F(1) if divisor is None else F(7.7) / F(divisor),),)})


def test_counts_in_one_row_and_other_tensors(tmp_path):
    path = tmp_path / "i.gguf"
    tensors = {"a.in_sum2": np.ones((2, 3), F), "a.counts": np.array([2, 4], F), "other": np.ones(3, F)}
    write_gguf(path, tensors, METADATA)
    assert read_importance(path).entries["a"].tolist() == [[0.5] * 3, [0.25] * 3]


def test_means_of_a_legacy_file(tmp_path):
    path = tmp_path / "imatrix.dat"
    path.write_bytes(legacy(("a", 3, (0.1, 7.0)), ("b", 0, (0.1,)), ("c", -2, (0.3,)), tail=dataset(b"wiki.txt")))
    matrix = read_importance(str(path))
    assert_is(matrix, {"a": ((F(0.1) / F(3), F(7) / F(3)),), "b": ((F(0.1),),), "c": ((F(0.3),),)})
    assert (matrix.file, matrix.datasets, matrix.chunks) == (str(path), ("wiki.txt",), 7)


def test_calls_of_a_legacy_file_are_divided_by_as_float32(tmp_path):
    (tmp_path / "i.dat").write_bytes(legacy(("a", 16777217, (1e7,))))
    assert_is(read_importance(tmp_path / "i.dat"), {"a": ((F(1e7) / F(16777216),),)})


def test_names_of_a_legacy_file_end_at_a_zero_byte_and_the_last_entry_counts(tmp_path):
    (tmp_path / "i.dat").write_bytes(legacy((b"a\0b", 1, (1.0,)), ("a", 1, (2.0,))))
    assert_is(read_importance(tmp_path / "i.dat"), {"a": ((F(2),),)})


@pytest.mark.parametrize(
    ("tail", "datasets", "chunks"),
    [
        (b"", (), 0),
        (struct.pack("<i", 5), (), 5),
        (dataset(b""), (), 7),
        (struct.pack("<2i", 7, -1), (), 7),
        (dataset(b"a\0b"), ("a",), 7),
        (dataset(b"\xff"), ("\udcff",), 7),
        (dataset(b"a", -1) + b"more", ("a",), -1),
    ],
)
def test_the_tail_of_a_legacy_file(tmp_path, tail, datasets, chunks):
    (tmp_path / "i.dat").write_bytes(legacy(("a", 1, (1.0,)), tail=tail))
    matrix = read_importance(tmp_path / "i.dat")
    assert (matrix.datasets, matrix.chunks) == (datasets, chunks)


ENTRIES = {name: np.ones((1, 2), F) for name in ("blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.10.attn_q.weight")}
MATRIX = ImportanceMatrix(ENTRIES, "i.gguf", ("wiki.txt",), 7)


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        ((), (), [0, 1, 2]),
        (("attn_q",), (), [0, 2]),
        (("attn_q", "blk.0."), (), [0, 1, 2]),
        ((), ("attn_q",), [1]),
        ((), ("blk.1", "attn_v"), [0]),
        (("ffn",), (), []),
        ((), ("",), []),
    ],
)
def test_selection_by_parts_of_names(include, exclude, left):
    chosen = MATRIX.selected(include, exclude)
    assert list(chosen.entries) == [list(ENTRIES)[i] for i in left]
    assert (chosen.file, chosen.datasets, chosen.chunks) == ("i.gguf", ("wiki.txt",), 7)


def test_including_and_excluding_at_once():
    with pytest.raises(UsageError, match="--include-weights and --exclude-weights cannot be combined"):
        MATRIX.selected(["a"], ["b"])


def fields_of(matrix: ImportanceMatrix) -> list[tuple[str, object]]:
    return [(held.key.removeprefix("quantize.imatrix."), held.value) for held in matrix.metadata_fields()]


def test_metadata():
    assert fields_of(MATRIX) == [("file", "i.gguf"), ("dataset", "wiki.txt"), ("entries_count", 3), ("chunks_count", 7)]
    types = [held.type for held in MATRIX.metadata_fields()]
    assert types == [V.STRING, V.STRING, V.UINT32, V.UINT32]


def test_metadata_counts_what_is_left_and_leaves_out_what_is_unknown():
    assert fields_of(ImportanceMatrix({"a": np.ones((1, 1), F)}, "i", (), -1)) == [("file", "i"), ("entries_count", 1)]
    assert fields_of(MATRIX.selected(["attn_v"]))[2] == ("entries_count", 1)
    assert fields_of(MATRIX.selected(["nothing"])) == []


@pytest.mark.parametrize(
    ("given_name", "written"),
    [
        ("a" * 127, "a" * 127),
        ("a" * 128, "a" * 127),
        ("a" * 126 + "ö", b"a" * 126 + b"\xc3"),
        ("a\0b", "a"),
        ("\udcff", b"\xff"),
    ],
)
def test_metadata_is_cut_as_the_reference_cuts_it(given_name, written):
    matrix = ImportanceMatrix(ENTRIES, given_name, (given_name,), 0)
    assert [value for _, value in fields_of(matrix)[:2]] == [written, written]


def test_the_file_is_named_as_it_was_given(tmp_path, monkeypatch):
    (tmp_path / "i.dat").write_bytes(legacy(("a", 1, (1.0,))))
    monkeypatch.chdir(tmp_path)
    assert read_importance("./i.dat").file == "./i.dat"


def test_importance_for_a_tensor():
    rows = np.arange(6, dtype=F).reshape(1, 6)
    matrix = ImportanceMatrix({"a": rows, "b": rows.reshape(2, 3), "token_embd.weight": rows}, "i", (), 0)
    assert matrix.for_tensor("missing", (4, 6)) is None
    assert matrix.for_tensor("a", (4, 6)).tolist() == rows.tolist()
    assert matrix.for_tensor("a", (6,)).tolist() == rows.tolist()
    assert matrix.for_tensor("a", (2, 4, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert matrix.for_tensor("b", (2, 4, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert matrix.for_tensor("b", (9, 2, 4, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert matrix.for_tensor("b", (4, 6)).tolist() == rows.tolist()
    assert matrix.for_tensor("token_embd.weight", (4, 6)).tolist() == rows.tolist()
    assert matrix.for_tensor("token_embd.weight", (4, 5)) is None
    with pytest.raises(
        CheckpointError, match="i holds 6 importances for 'a', which needs 12; compute the importance matrix for this"
    ):
        matrix.for_tensor("a", (2, 4, 6))


def refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "imatrix"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=re.escape(says)) as raised:
            read_importance(path)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


I32 = struct.Struct("<i").pack


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty, so it cannot be read as an importance matrix"),
        (I32(0) + bytes(99), "is filled with zeros, as an interrupted download leaves it"),
        (I32(0) + bytes(99) + b"x", "its 104 bytes cannot hold 0 entries"),
        (I32(-1) + bytes(99), "cannot hold -1 entries"),
        (I32(2**31 - 1) + bytes(99), "cannot hold 2147483647 entries"),
        (I32(1) + I32(2**31 - 1) + bytes(99), "a name takes 2147483647 bytes, but 99 are left"),
        (I32(1) + I32(-1) + bytes(99), "a name takes -1 bytes"),
        (legacy(("a", 1, ())) + bytes(9), "the entry 'a' has 0 values"),
        (I32(1) + I32(1) + b"a" + I32(1) + I32(-5) + bytes(9), "the entry 'a' has -5 values"),
        (I32(1) + I32(1) + b"a" + I32(1) + I32(2**31 - 1) + bytes(9), "the entry 'a' takes 8589934588 bytes"),
        (legacy(("a", 1, (1.0,)), tail=b"\1"), "the number of chunks takes 4 bytes, but 1 are left"),
        (legacy(("a", 1, (1.0,)), tail=I32(1) + I32(9)), "the data set's name takes 9 bytes, but 0 are left"),
        (legacy(("a", 1, (np.nan,))), "holds NaN or infinite importances for 'a'"),
        (legacy(("a", 1, (1.0,)), ("b", 1, (1.0, -np.inf))), "holds NaN or infinite importances for 'b'"),
        (legacy(("a", 1, (-1.0,))), "holds negative importances for 'a', but they are means of squares"),
        (b"<!DOCTYPE html><html></html>", "is a web page, so it cannot be read as an importance matrix"),
    ],
)
def test_broken_legacy_files(tmp_path, content, says):
    refused(tmp_path, content, says)


def scalar(key: str, value_type: GGUFValueType = V.UINT32) -> bytes:
    return field(key, value_type, bytes(4))


KEYS = (array("imatrix.datasets", V.STRING, 0, b""), scalar("imatrix.chunk_count"), scalar("imatrix.chunk_size"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (file(KEYS[1:]), "lacks imatrix.datasets, so it is not an importance matrix"),
        (file((KEYS[0], KEYS[2])), "lacks imatrix.chunk_count"),
        (file(KEYS[:2]), "lacks imatrix.chunk_size"),
        (file((KEYS[0], scalar("imatrix.chunk_count", V.INT32), KEYS[2])), "imatrix.chunk_count is INT32 instead of"),
        (file(KEYS), "does not hold any importances"),
        (file(KEYS, (line("a.weight", (1,)),), bytes(4)), "does not hold any importances"),
        (file(KEYS, (line("a.in_sum2", (1,)),), bytes(4)), "'a.counts' is missing"),
        (file(KEYS, (line("a.counts", (1,)),), bytes(4)), "'a.in_sum2' is missing"),
        (
            file(KEYS, (line("a.in_sum2", (1,), 1), line("a.counts", (1,), 0, 32)), bytes(36)),
            "'a.in_sum2' is F16 instead of F32",
        ),
        (
            file(KEYS, (line("a.in_sum2", (3,)), line("a.counts", (2,), 0, 32)), bytes(40)),
            "'a' has 3 sums, not a multiple of its 2 counts",
        ),
        (
            file(KEYS, (line("a.in_sum2", (1,)), line("a.counts", (1,), 0, 32)), bytes(32) + struct.pack("<f", np.nan)),
            "a count of 'a' is nan",
        ),
        (
            file(KEYS, (line("a.in_sum2", (1,)), line("a.counts", (1,), 0, 32)), struct.pack("<9f", np.inf, *[1] * 8)),
            "holds NaN or infinite importances for 'a'",
        ),
        (
            file(KEYS, (line("a.in_sum2", (2**62,)),), bytes(4)),
            "of shape [4611686018427387904] is larger than any file",
        ),
    ],
)
def test_broken_gguf_files(tmp_path, content, says):
    refused(tmp_path, content, says)


def test_no_data_sets_are_no_error(tmp_path):
    (tmp_path / "i").write_bytes(
        file(KEYS, (line("a.in_sum2", (1,)), line("a.counts", (1,), 0, 32)), struct.pack("<9f", *[1] * 9))
    )
    matrix = read_importance(tmp_path / "i")
    assert (matrix.datasets, matrix.chunks) == ((), 0)
    assert_is(matrix, {"a": ((F(1),),)})


@pytest.mark.parametrize("wrong", [scalar("imatrix.datasets"), array("imatrix.datasets", V.UINT8, 1, b"a")])
def test_data_sets_that_are_no_texts_are_none(tmp_path, wrong):
    lines = (line("a.in_sum2", (1,)), line("a.counts", (1,), 0, 32))
    (tmp_path / "i").write_bytes(file((wrong, *KEYS[1:]), lines, struct.pack("<9f", *[1] * 9)))
    assert read_importance(tmp_path / "i").datasets == ()


def test_more_chunks_than_the_reference_counts(tmp_path):
    lines = (line("a.in_sum2", (1,)), line("a.counts", (1,), 0, 32))
    chunks = field("imatrix.chunk_count", V.UINT32, b"\xff" * 4)
    (tmp_path / "i").write_bytes(file((KEYS[0], chunks, KEYS[2]), lines, struct.pack("<9f", *[1] * 9)))
    assert read_importance(tmp_path / "i").chunks == -1


def test_there_is_no_such_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CheckpointError, match=r"The importance matrix .* does not exist"):
            read_importance(path)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="is not a regular file"):
        read_importance(tmp_path / "pipe")


BODY = legacy(("a", 1, (1.0, 2.0)), ("bc", 2, (3.0,)))
LEGACY = BODY + dataset(b"wiki.txt")


def test_beginnings_of_a_legacy_file(tmp_path):
    """It may end after its entries, and after the number of chunks: nothing tells that more was written."""
    whole = {len(BODY), len(BODY) + 4}
    for length in set(range(1, len(LEGACY))) - whole:
        refused(tmp_path, LEGACY[:length], "is not an importance matrix, or is damaged")
    for length in whole:
        (tmp_path / "i").write_bytes(LEGACY[:length])
        assert sorted(read_importance(tmp_path / "i").entries) == ["a", "bc"]


def test_no_beginning_of_a_gguf_file_is_a_file(tmp_path):
    path = write_matrix(tmp_path / "imatrix.gguf")
    content = path.read_bytes()
    data_end = max(range(len(content)), key=lambda i: content[i] != 0 and i) + 1  # the rest is padding
    for length in range(data_end):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_importance(path)


@settings(derandomize=True, max_examples=400)
@given(st.data())
def test_changed_bytes_never_escape(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed"
    write_matrix(path)
    content = bytearray(data.draw(st.sampled_from([LEGACY, path.read_bytes()])))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        matrix = read_importance(path)
    except QuantizeError:
        return
    assert all(np.isfinite(held).all() and held.nbytes <= len(content) for held in matrix.entries.values())
