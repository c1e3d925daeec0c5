"""A file by itself: every damage is noticed, and is told for what it is."""

from __future__ import annotations

import os
import random
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFValueType
from gguf_factory import ANY, field, file, hyperparameters, line, read_header, write_gguf

from quantize_cli import verify
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.scales import EXPONENTS
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.run.rows import decoded
from quantize_cli.verification.finite import not_finite
from quantize_cli.verification.model import MOST_FINDINGS

PARTS = ("parts-00001-of-00002.gguf", "parts-00002-of-00002.gguf")


def kinds(path):
    return [finding.kind for finding in verify(path).findings]


def only_sentence(path):
    (finding,) = verify(path).findings
    return finding.sentence


@pytest.fixture
def own(made, tmp_path):
    """A function: the name of a file -> a copy of all files, and the path of that one."""

    def copied(name):
        for path in made.iterdir():
            shutil.copy(path, tmp_path)
        return tmp_path / name

    return copied


def changed(path, place, value):
    """Change bits of one byte."""
    with path.open("r+b") as opened:
        opened.seek(place)
        old = opened.read(1)[0]
        opened.seek(place)
        opened.write(bytes([old ^ value]))


@pytest.mark.parametrize("name", ["whole.gguf", "plain.gguf", *PARTS])
def test_a_sound_file_has_no_findings(name, made):
    found = verify(made / name)
    assert (found.sound, found.findings, found.further_findings, found.compared) == (True, (), 0, None)
    assert sum(checked.tensors for checked in found.files) == 21
    assert [checked.digests for checked in found.files] == [name != "plain.gguf"] * len(found.files)
    assert [checked.bytes for checked in found.files] == [Path(checked.path).stat().st_size for checked in found.files]
    assert bool(found.notes) == (name == "plain.gguf")
    assert found.to_dict()["sound"] is True


def places(path, count, seed):
    """Random places of a file, some of them in each of its regions: header, tensors, trailer."""
    header, size = read_header(path), path.stat().st_size
    regions = [(0, header.data_start), (header.data_start, header.data_end), (header.data_end, size)]
    source = random.Random(seed)
    return [source.randrange(*regions[number % 3]) for number in range(count)]


def all_are_noticed(path, count, seed):
    source = random.Random(seed)
    for place in places(path, count, seed):
        value = source.randrange(1, 256)
        changed(path, place, value)
        assert not verify(path).sound, f"byte {place} of {path.name}, bits {value:#x}"
        changed(path, place, value)
    assert verify(path).sound


@pytest.mark.parametrize("name", ["whole.gguf", *PARTS])
def test_a_changed_byte_is_noticed_wherever_it_is(name, own):
    all_are_noticed(own(name), 15, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whole.gguf", *PARTS])
def test_500_changed_bytes_are_noticed(name, own):
    all_are_noticed(own(name), 500, seed=1)


@pytest.mark.slow
def test_every_byte_of_the_header_and_of_the_trailer_counts(own):
    path = own("whole.gguf")
    header, size = read_header(path), path.stat().st_size
    for place in (*range(0, header.data_start, 3), *range(header.data_end, size)):
        changed(path, place, 1)
        assert not verify(path).sound, f"byte {place}"
        changed(path, place, 1)


def test_the_damaged_tensor_is_named(own):
    path = own("whole.gguf")
    tensor = read_header(path).tensors[7]
    changed(path, tensor.offset + tensor.nbytes - 1, 1)
    (finding,) = verify(path).findings
    assert (finding.kind, finding.tensor) == ("digest", tensor.name)
    assert f"tensor '{tensor.name}' is the first that does not have its digest" in finding.sentence


def test_a_changed_key_is_noticed(own):
    path = own("whole.gguf")
    changed(path, path.read_bytes().index(b"tiny-llama"), 1)
    assert "its metadata or table of tensors has changed" in only_sentence(path)


def test_a_file_without_its_end(own):
    path = own("whole.gguf")
    size, end = path.stat().st_size, read_header(path).data_end
    os.truncate(path, size - 1)
    assert "its trailer has" in only_sentence(path)
    os.truncate(path, end)
    assert "has lost the digests that its key quantize.version promises" in only_sentence(path)
    os.truncate(path, end - 1)
    assert "is not complete" in only_sentence(path)
    os.truncate(path, 0)
    assert "empty" in only_sentence(path)


def test_a_part_without_its_end(own):
    path = own(PARTS[1])
    os.truncate(path, read_header(path).data_end)
    assert "has lost the digests that the other parts hold" in only_sentence(path)


def test_a_part_that_is_missing_or_another_one(own):
    path = own(PARTS[0])
    shutil.copy(path, path.with_name(PARTS[1]))
    assert kinds(path) == ["container"]
    path.with_name(PARTS[1]).unlink()
    assert only_sentence(path) == f"{path.with_name(PARTS[1])} is missing; download it, or the whole model, again."


def test_bytes_behind_the_tensors_of_another_program(own):
    path = own("plain.gguf")
    with path.open("ab") as opened:
        opened.write(b"more")
    assert "has 4 bytes behind its last tensor, which do not belong to a GGUF file" in only_sentence(path)


def test_padding_that_is_not_zero(tmp_path):
    path = tmp_path / "model.gguf"
    write_gguf(path, {"a": np.ones(3, np.float32), "b": np.ones(256, np.float32)}, hyperparameters())
    assert verify(path).sound
    changed(path, read_header(path).tensors[0].offset + 12, 1)
    assert "the padding behind tensor 'a' is not zero" in only_sentence(path)


def test_padding_that_is_longer_than_memory(tmp_path):
    """An alignment of 64 MiB in a sparse file; all of it is zero."""
    path = tmp_path / "model.gguf"
    alignment = field("general.alignment", GGUFValueType.UINT32, (1 << 26).to_bytes(4, "little"))
    path.write_bytes(file([alignment], [line("a", [1])]))
    os.truncate(path, (1 << 26) + 4)
    tracemalloc.start()
    assert verify(path).sound
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def test_what_is_not_there_or_not_a_file(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        verify(tmp_path / "none.gguf")
    with pytest.raises(CheckpointError, match="is a folder"):
        verify(tmp_path)
    (tmp_path / "page.gguf").write_text("<!doctype html>")
    assert "a web page" in only_sentence(tmp_path / "page.gguf")


def test_findings_are_bounded(tmp_path):
    path = tmp_path / "model.gguf"
    bad = np.full(32, np.nan, np.float32)
    write_gguf(path, {f"t{number}": bad for number in range(MOST_FINDINGS + 5)}, hyperparameters())
    found = verify(path)
    assert (len(found.findings), found.further_findings) == (MOST_FINDINGS, 5)
    assert not found.sound


def test_a_file_that_lies_takes_no_memory(tmp_path):
    """A tensor of 4 GiB that is not there, and 2^40 fields."""
    (tmp_path / "lie.gguf").write_bytes(file((), [line("t", [1 << 30])]))
    (tmp_path / "many.gguf").write_bytes(file(counts=(0, 1 << 40)))
    tracemalloc.start()
    for name in ("lie.gguf", "many.gguf"):
        assert kinds(tmp_path / name) == ["container"]
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


# Numbers that are not finite.


def blocks_with(type_name, exponent, bits):
    """Three blocks, the second of which has these bits at an exponent's place; its other bits are zero."""
    packed = np.zeros((3, GGML_TYPES[type_name].block_bytes), np.uint8)
    packed[1, exponent.place : exponent.place + exponent.nbytes] = np.frombuffer(
        bits.to_bytes(exponent.nbytes, "little"), np.uint8
    )
    return packed


CASES = [(name, number) for name, held in EXPONENTS.items() for number in range(len(held))]


@pytest.mark.parametrize(("type_name", "number"), CASES)
def test_an_exponent_is_where_the_table_says(type_name, number):
    """The kernels that decode the type find infinity there; with any of the bits cleared, they find none."""
    exponent = EXPONENTS[type_name][number]
    bad = blocks_with(type_name, exponent, exponent.bits)
    assert not_finite(bad.reshape(-1), GGML_TYPES[type_name]).tolist() == [1]
    single = [1 << bit for bit in range(8 * exponent.nbytes) if exponent.bits >> bit & 1]
    fine = [blocks_with(type_name, exponent, exponent.bits & ~bit) for bit in single]
    assert not any(not_finite(packed.reshape(-1), GGML_TYPES[type_name]).size for packed in fine)
    if type_name == "MXFP4":  # this scale is NaN to llama.cpp, which does not load it
        assert BLOCK_TYPES[type_name].has_invalid_byte(bad)
    elif type_name in BLOCK_TYPES:
        with np.errstate(over="ignore"):
            assert not np.isfinite(decoded(bad, type_name)[1]).all()
            assert all(np.isfinite(decoded(packed, type_name)).all() for packed in fine)


def test_all_types_that_can_hold_infinity_are_in_the_table():
    assert set(GGML_TYPES) - set(EXPONENTS) == {"NVFP4", "I8", "I16", "I32", "I64"}
    every = np.arange(256, dtype=np.uint8)[:, None]
    scales = np.hstack([np.repeat(every, 4, axis=1), np.full((256, 32), 0x77, np.uint8)])
    assert np.isfinite(decoded(scales, "NVFP4")).all()


def test_a_block_that_is_not_finite_is_named(tmp_path):
    path = tmp_path / "model.gguf"
    packed = np.zeros((4, 2 * 34), np.uint8)
    packed[2, 35] = 0x7C
    write_gguf(path, {"t": (packed, GGMLQuantizationType.Q8_0)}, hyperparameters(ANY))
    (finding,) = verify(path).findings
    assert (finding.kind, finding.tensor) == ("scales", "t")
    assert "holds NaN or infinity in 1 of 8 blocks, first in block 5" in finding.sentence
