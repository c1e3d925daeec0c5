"""A GGUF file as the model: what is made of it, what is refused, and that it is never overwritten."""

from __future__ import annotations

import re

import pytest
from checkpoint_factory import PRE_TOKENIZER
from command_line import invoke, sentence
from gguf import GGUFReader

Q8 = ("-f", "q8_0", "-t", "1")


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def made(folder, name, *arguments):
    """A file or split set of the command's own."""
    options = ("--pre-tokenizer", PRE_TOKENIZER, "-t", "1", "-o", str(folder / name))
    assert invoke(*arguments, *options).exit_code == 0


@pytest.fixture(scope="module")
def models(llama, tmp_path_factory):
    """The same model whole, in parts, and quantized already."""
    folder = tmp_path_factory.mktemp("models")
    made(folder, "tiny-llama-BF16.gguf", llama, "-f", "bf16", "--no-provenance")
    made(folder, "parts-BF16.gguf", llama, "-f", "bf16", "--split-max-size", "1M")
    made(folder, "tiny-llama-Q8_0.gguf", llama, "-f", "q8_0", "--no-provenance")
    return folder


@pytest.mark.parametrize("format_name", ["q8_0", "q4_k_m"])
def test_the_file_is_that_of_the_checkpoint(format_name, quantize, llama, models, work):
    """The reference takes two steps to it, by way of a file without loss."""
    assert quantize(models / "tiny-llama-BF16.gguf", "-f", format_name, "--no-provenance").exit_code == 0
    assert files(work) == [f"tiny-llama-{format_name.upper()}.gguf"]
    made(work, "direct.gguf", llama, "-f", format_name, "--no-provenance")
    assert (work / "direct.gguf").read_bytes() == (work / f"tiny-llama-{format_name.upper()}.gguf").read_bytes()


def test_parts_are_one_model(quantize, models, work):
    first, *others = sorted(models.glob("parts-*"))
    assert others
    assert quantize(first, *Q8).exit_code == 0
    assert quantize(models / "tiny-llama-BF16.gguf", *Q8).exit_code == 0
    assert files(work) == ["parts-Q8_0.gguf", "tiny-llama-Q8_0.gguf"]
    parts, whole = (GGUFReader(work / name).tensors for name in files(work))
    assert [(t.name, t.data.tobytes()) for t in parts] == [(t.name, t.data.tobytes()) for t in whole]


def test_any_part_stands_for_the_model(quantize, models, work):
    first, second, *_ = sorted(models.glob("parts-*"))
    assert quantize(first, *Q8, "-o", "first.gguf").exit_code == 0
    result = quantize(second, *Q8, "-o", "second.gguf")
    assert result.exit_code == 0
    assert f"{second} is one of the 3 parts of a model: reading all of them." in result.stderr
    assert (work / "first.gguf").read_bytes() == (work / "second.gguf").read_bytes()


@pytest.mark.parametrize("output", ["tiny-llama-BF16.gguf", "./tiny-llama-BF16.gguf", "link.gguf"])
def test_the_source_is_never_overwritten(output, quantize, models, work):
    source = work / "tiny-llama-BF16.gguf"
    data = (models / source.name).read_bytes()
    source.write_bytes(data)
    (work / "link.gguf").symlink_to(source)
    result = quantize(source.name, *Q8, "-o", output, "--force")
    assert result.exit_code == 2
    assert "one of the files that the run reads; choose another path with -o" in sentence(result.stderr)
    assert source.read_bytes() == data
    assert files(work) == ["link.gguf", source.name]


def test_a_part_of_the_source_is_never_overwritten(quantize, models, work):
    parts = sorted(models.glob("parts-*"))
    for part in parts:
        (work / part.name).write_bytes(part.read_bytes())
    for arguments in (("-o", parts[2].name), ("--keep-split", "-o", "parts-BF16.gguf")):
        result = quantize(parts[0].name, "-f", "f16", *arguments, "--force")
        assert result.exit_code == 2
        assert "one of the files that the run reads" in sentence(result.stderr)
    assert {path.name: path.read_bytes() for path in work.iterdir()} == {p.name: p.read_bytes() for p in parts}


# Tensors that are quantized already.


def test_what_is_quantized_already_is_not_quantized_again(quantize, models, work):
    result = quantize(models / "tiny-llama-Q8_0.gguf", "-f", "q4_k_m")
    assert result.exit_code == 1
    said = sentence(result.stderr)
    assert "16 of 21 tensors are quantized already (output.weight as Q8_0, " in said
    assert "take the original model, or override with --allow-requantize" in said
    assert files(work) == []


def test_unless_somebody_insists(quantize, models, work):
    assert quantize(models / "tiny-llama-Q8_0.gguf", "-f", "q4_k_m", "--allow-requantize").exit_code == 0
    kinds = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(work / "tiny-llama-Q4_K_M.gguf").tensors}
    assert kinds["output.weight"] == "Q6_K"
    assert kinds["blk.0.attn_q.weight"] == "Q4_K"


def test_what_keeps_its_type_is_copied(quantize, models, work):
    source = models / "tiny-llama-Q8_0.gguf"
    result = quantize(source, *Q8, "--no-provenance")
    assert result.exit_code == 0
    assert (work / source.name).read_bytes() == source.read_bytes()
    assert "none; all tensors are copied unchanged" in result.stderr


def test_a_pre_tokenizer_cannot_be_chosen_for_it(quantize, models, work):
    result = quantize(models / "tiny-llama-BF16.gguf", *Q8, "--pre-tokenizer", PRE_TOKENIZER)
    assert result.exit_code == 2
    assert "leave --pre-tokenizer out" in sentence(result.stderr)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"GGUF", "is not complete"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "damaged"),
        (b"GGUF\x01\0\0\0" + bytes(16), "version 1"),
    ],
)
def test_a_damaged_file_is_a_sentence(data, said, quantize, work):
    (work / "model.gguf").write_bytes(data)
    result = quantize("model.gguf", *Q8)
    assert result.exit_code == 1
    assert re.search(said, sentence(result.stderr))
    assert files(work) == ["model.gguf"]
