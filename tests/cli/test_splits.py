"""A model in several files, written and read."""

from __future__ import annotations

import shutil
from collections import namedtuple

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from command_line import sentence
from gguf import GGUFReader
from gguf_factory import read_header
from safetensors.numpy import load_file, save_file

F32 = ("-f", "f32", "--pre-tokenizer", PRE_TOKENIZER, "-t", "1")
SPLIT = (*F32, "--split-max-size", "1M")
MEGABYTE = 1_000_000


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model that takes 3 MB as F32."""
    return make_checkpoint(tmp_path_factory.mktemp("small") / "small", num_hidden_layers=1)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("sharded") / "sharded", num_hidden_layers=1, shards=3)


def test_no_part_has_more_than_it_may_and_all_together_have_everything(quantize, small, work):
    assert quantize(small, *SPLIT).exit_code == 0
    parts = files(work)
    count = len(parts)
    assert count > 2
    assert parts == [f"small-F32-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    assert quantize(small, *F32, "-o", "whole.gguf").exit_code == 0
    whole = [(t.name, t.data.tobytes()) for t in GGUFReader(work / "whole.gguf").tensors]
    found = []
    for number, part in enumerate(parts):
        tensors = GGUFReader(work / part).tensors
        assert sum(tensor.n_bytes for tensor in tensors) <= MEGABYTE
        found += [(t.name, t.data.tobytes()) for t in tensors]
        fields = {held.key: held.value for held in read_header(work / part).fields}
        split = {"split.no": number, "split.count": count, "split.tensors.count": len(whole)}
        assert fields.items() >= split.items()
        assert (len(fields) == 3) == (number > 0)
    assert found == whole


def test_a_tensor_that_is_too_large_is_alone(quantize, tmp_path, work):
    folder = make_checkpoint(tmp_path / "wide", num_hidden_layers=1, intermediate_size=2048)
    assert quantize(folder, *SPLIT).exit_code == 0
    sizes = [[t.n_bytes for t in GGUFReader(part).tensors] for part in sorted(work.iterdir())]
    assert [len(part) for part in sizes if sum(part) > MEGABYTE] == [1, 1, 1]


@pytest.mark.parametrize("through_gguf", [False, True], ids=["safetensors", "gguf"])
def test_as_many_files_as_the_source_has(through_gguf, quantize, sharded, work):
    source = sharded
    if through_gguf:
        assert quantize(sharded, *F32, "--keep-split", "-o", "source.gguf").exit_code == 0
        source = work / "source-00001-of-00003.gguf"
    (work / "out").mkdir()
    pre = () if through_gguf else ("--pre-tokenizer", PRE_TOKENIZER)
    result = quantize(source, "-f", "q8_0", "--keep-split", *pre, "-o", "out/model.gguf")
    assert result.exit_code == 0, result.stderr
    assert files(work / "out") == [f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert "out/model-00001-of-00003.gguf" in result.stderr
    held = [{t.name for t in GGUFReader(path).tensors} for path in sorted((work / "out").iterdir())]
    assert sum(map(len, held)) == len(set.union(*held)) == 12


def test_one_file_stays_one(quantize, small, work):
    assert quantize(small, *F32, "--keep-split").exit_code == 0
    assert files(work) == ["small-F32-00001-of-00001.gguf"]


# All parts or none.


def test_a_part_that_exists_keeps_all_from_being_written(quantize, small, work):
    part = work / "small-F32-00002-of-00004.gguf"
    part.write_text("mine")
    result = quantize(small, *SPLIT)
    assert result.exit_code == 1
    assert f"{part.name} exists" in sentence(result.stderr)
    assert files(work) == [part.name]
    assert part.read_text() == "mine"


def test_the_disk_must_have_room_for_all_parts(quantize, small, work, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1 << 40, 0, 2 * MEGABYTE))
    result = quantize(small, *SPLIT, "--no-provenance")
    assert result.exit_code == 1
    assert "3 more files on the same disk will take 2,958,688 bytes, but the disk has 2,000,000 free" in sentence(
        result.stderr
    )
    assert files(work) == []


def test_a_failure_in_the_last_part_leaves_none(quantize, small, tmp_path, work):
    folder = tmp_path / "broken"
    shutil.copytree(small, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][-1, -1] = np.nan
    save_file(weights, folder / "model.safetensors")
    result = quantize(folder, *SPLIT)
    assert result.exit_code == 1
    assert "holds nan at index [511, 255]" in sentence(result.stderr)
    assert files(work) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--split-max-size", "1M", "-o", "-"), "One stream cannot hold several files"),
        (("--keep-split", "-o", "-"), "One stream cannot hold several files"),
        (("--keep-split", "--split-max-size", "1M"), "--keep-split and --split-max-size cannot be combined"),
        *[
            (("--split-max-size", size), f"'{size}' is not a size; write it as in 500M or 4G")
            for size in ("0", "0M", "1", "1K", "1.5G", "-1G", "M", "99999999999M", "1M\u0660")
        ],
    ],
)
def test_what_cannot_be_is_a_sentence(arguments, said, quantize, small, work):
    result = quantize(small, *F32, *arguments)
    assert result.exit_code == 2
    assert said in sentence(result.stderr)
    assert result.stdout == ""
    assert files(work) == []
