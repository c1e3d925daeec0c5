"""Several formats from one read: `--format` more than once."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
from checkpoint_factory import PRE_TOKENIZER
from command_line import sentence
from safetensors.numpy import load_file, save_file

FORMATS = ("q8_0", "q4_k_m", "f16")
LADDER = (*(word for name in FORMATS for word in ("-f", name)), "--pre-tokenizer", PRE_TOKENIZER, "-t", "1")
NAMES = sorted(f"tiny-llama-{name.upper()}.gguf" for name in FORMATS)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_file_is_that_of_a_run_of_its_own(quantize, llama, work):
    (work / "alone").mkdir()
    assert quantize(llama, *LADDER).exit_code == 0
    assert files(work) == ["alone", *NAMES]
    for name in FORMATS:
        assert quantize(llama, "-f", name, "--pre-tokenizer", PRE_TOKENIZER, "-o", "alone").exit_code == 0
    for name in NAMES:
        assert (work / name).read_bytes() == (work / "alone" / name).read_bytes()


def test_the_reports_stand_side_by_side_in_the_order_that_was_asked_for(quantize, llama, work):
    (work / "out").mkdir()
    result = quantize(llama, *LADDER, "-o", "out", "--report", "ladder.json")
    assert result.exit_code == 0
    report = json.loads((work / "ladder.json").read_text())
    assert list(report) == ["schema_version", "reports"]
    assert [one["format"] for one in report["reports"]] == ["Q8_0", "Q4_K_M", "F16"]
    for one in report["reports"]:
        assert one["output"] == f"out/tiny-llama-{one['format']}.gguf"
        assert one["totals"]["file_bytes"] == (work / one["output"]).stat().st_size
    assert "tiny-llama in 3 formats" in result.stderr
    rows = [line.split()[0] for line in result.stderr.splitlines() if line.startswith(("Q8_0 ", "Q4_K_M ", "F16 "))]
    assert rows == ["Q8_0", "Q4_K_M", "F16"]
    assert quantize(llama, *LADDER, "-o", "out", "--force", "--report", "ladder.md").exit_code == 0
    assert (work / "ladder.md").read_text().startswith("# tiny-llama in 3 formats")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "model.gguf"), "model.gguf is not a folder, and the run writes 3 files"),
        (("-o", "-"), "One stream cannot hold several files: name a folder"),
        (("-f", "Q8_0"), "Q8_0 is given twice"),
        (("-f", "q4_k"), "Q4_K_M is given twice"),
    ],
)
def test_what_cannot_be_is_a_sentence(arguments, said, quantize, llama, work):
    result = quantize(llama, *LADDER, *arguments)
    assert result.exit_code == 2
    assert said in sentence(result.stderr)
    assert result.stdout == ""
    assert files(work) == []


def test_one_file_that_exists_keeps_all_from_being_written(quantize, llama, work):
    (work / NAMES[1]).write_text("mine")
    result = quantize(llama, *LADDER)
    assert result.exit_code == 1
    assert f"{NAMES[1]} exists" in sentence(result.stderr)
    assert files(work) == [NAMES[1]]
    assert quantize(llama, *LADDER, "--force").exit_code == 0
    assert files(work) == NAMES


def test_the_disk_must_have_room_for_all(quantize, llama, work, monkeypatch):
    assert quantize(llama, *LADDER).exit_code == 0
    sizes = [(work / name).stat().st_size for name in NAMES]
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1 << 40, 0, sum(sizes) - 1))
    result = quantize(llama, *LADDER, "--force")
    assert result.exit_code == 1
    assert f"{sum(sizes):,} bytes, but the disk has {sum(sizes) - 1:,} free" in sentence(result.stderr)


def test_a_failure_leaves_none_of_the_files(quantize, own_llama, work):
    weights = load_file(own_llama / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = np.inf
    save_file(weights, own_llama / "model.safetensors")
    result = quantize(own_llama, *LADDER)
    assert result.exit_code == 1
    assert "holds inf at index [3, 4]" in sentence(result.stderr)
    assert files(work) == []
