"""The file of a calibration: what is written is read again, llama.cpp reads it as an importance matrix, faults end."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import replace

import numpy as np
import pytest
from calibration_factory import TYPES, calibration_of, write
from checkpoint_factory import PRE_TOKENIZER
from gguf import GGUFReader
from gguf_factory import write_gguf
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError, OutputError, QuantizeError, UnsupportedError, UsageError
from quantize_cli.importance.read import read_importance
from quantize_cli.sensitivity.check import check_calibration, identity_of
from quantize_cli.sensitivity.model import BlockActivations, Calibration, ModelIdentity, TensorCalibration
from quantize_cli.sensitivity.read import read_calibration
from quantize_cli.sensitivity.write import write_calibration
from quantize_cli.texts.model import TextRecord

#: Two tensors, of which one has experts, one of them never hit, and no costs; names of files need not be UTF-8.
EXAMPLE = Calibration(
    model=ModelIdentity("a" * 64, "b" * 64),
    architecture="llama",
    context=128,
    texts=(TextRecord("prose", ("one", "tw\udcffo"), 256, "c" * 64), TextRecord("code", (), 0, "d" * 64)),
    tensors=(
        TensorCalibration(
            "token_embd.weight", np.float32([[1, 2, 3]]), np.float32([256]), {"Q4_0": 0.5, "IQ2_XS": 0.0, "F16": 0.25}
        ),
        TensorCalibration("blk.0.ffn_up_exps.weight", np.float32([[1, 2], [0, 0]]), np.float32([9, 0]), {}),
        TensorCalibration("blk.0.attn_q.weight", np.float32([[4, 5]]), np.float32([256]), {"Q8_0": 0.125}),
    ),
    blocks=(BlockActivations(np.float32([7, 8]), np.float32([1, 2])),),
)


def plain(calibration):
    """A calibration as values that compare."""
    return (
        calibration.model,
        calibration.architecture,
        calibration.context,
        calibration.texts,
        [(t.name, t.squares.tolist(), t.counts.tolist(), dict(t.costs)) for t in calibration.tensors],
        [(b.largest.tolist(), b.mean_square.tolist()) for b in calibration.blocks],
    )


@pytest.fixture
def example(tmp_path):
    return write(EXAMPLE, tmp_path / "calibration.gguf")


def test_what_is_written_is_read_again(example, tmp_path):
    again = read_calibration(example)
    assert plain(again) == plain(EXAMPLE)
    assert write(again, tmp_path / "again.gguf").read_bytes() == example.read_bytes()


def test_it_is_an_importance_matrix(example):
    matrix = read_importance(example)
    assert {name: values.tolist() for name, values in matrix.entries.items()} == {
        "blk.0.attn_q.weight": [[np.float32(4) / 256, np.float32(5) / 256]],
        "blk.0.ffn_up_exps.weight": [[np.float32(1) / 9, np.float32(2) / 9], [1, 1]],
        "token_embd.weight": [[np.float32(i) / 256 for i in (1, 2, 3)]],
    }
    assert (matrix.datasets, matrix.chunks) == (("prose", "code"), 2)


def test_the_reference_finds_what_its_loader_asks_for(example):
    """The keys, the tensors, their order and their shapes are those of tools/imatrix/imatrix.cpp."""
    reader = GGUFReader(example)
    assert reader.fields["general.type"].contents() == "imatrix"
    assert reader.fields["imatrix.datasets"].contents() == ["prose", "code"]
    assert reader.fields["imatrix.chunk_count"].contents() == 2
    assert reader.fields["imatrix.chunk_size"].contents() == 128
    shapes = [(t.name, t.tensor_type.name, [int(size) for size in t.shape]) for t in reader.tensors]
    assert shapes[:6] == [
        ("blk.0.attn_q.weight.in_sum2", "F32", [2]),
        ("blk.0.attn_q.weight.counts", "F32", [1]),
        ("blk.0.ffn_up_exps.weight.in_sum2", "F32", [2, 2]),
        ("blk.0.ffn_up_exps.weight.counts", "F32", [1, 2]),
        ("token_embd.weight.in_sum2", "F32", [3]),
        ("token_embd.weight.counts", "F32", [1]),
    ]
    assert not any(name.endswith((".in_sum2", ".counts")) for name, _, _ in shapes[6:])


def test_an_existing_file_stays(example):
    with pytest.raises(OutputError, match="exists"):
        write_calibration(EXAMPLE, example)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        read_calibration(tmp_path / "none.gguf")


def test_another_file(llama):
    with pytest.raises(CheckpointError, match=r"model\.safetensors is"):
        read_calibration(llama / "model.safetensors")


def broken(**changes):
    """The example with one tensor changed."""
    return replace(EXAMPLE, tensors=(replace(EXAMPLE.tensors[0], **changes),))


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (broken(squares=np.float32([[1, np.nan, 3]])), "in_sum2' holds NaN"),
        (broken(squares=np.float32([[1, -2, 3]])), "in_sum2' holds numbers below 0"),
        (broken(counts=np.float32([1, 2])), "3 sums, not a multiple of its 2 counts"),
        (broken(costs={"Q4_0": np.inf}), "costs' holds NaN or infinity"),
        (replace(EXAMPLE, context=0, texts=()), "imatrix.chunk_size is not there as a number from 1 on"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_values_that_cannot_be(calibration, says, tmp_path, monkeypatch):
    monkeypatch.setattr(Calibration, "sequences", 1)
    path = write(calibration, tmp_path / "broken.gguf")
    with pytest.raises(CheckpointError, match=says):
        read_calibration(path)


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        (b"quantize.calibration.version", b"quantize.calibration.versioN", CheckpointError, "is not a calibration"),
        (b"texts.tokens", b"texts.tokenS", CheckpointError, "texts.tokens is not there"),
        (b"IQ2_XS", b"IQ9_XS", UnsupportedError, "costs of the type 'IQ9_XS'.*update"),
        (b"Q8_0", b"Q4_0", CheckpointError, "lists a type twice"),
        (b"blk.0.attn_q.weight.counts", b"blk.0.attn_q.weight.countS", CheckpointError, "counts' is missing"),
        (b"hidden_mean_square", b"hidden_mean_squarE", CheckpointError, "hidden_mean_square' is missing"),
    ],
)
def test_changed_files(old, new, error, says, example):
    content = example.read_bytes()
    assert old in content
    example.write_bytes(content.replace(old, new))
    with pytest.raises(error, match=says):
        read_calibration(example)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_change_of_a_byte_is_a_crash(data, tmp_path_factory):
    content = bytearray(write(EXAMPLE, tmp_path_factory.mktemp("bytes") / "calibration.gguf").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bytes") / "changed.gguf"
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
    with suppress(QuantizeError):
        read_calibration(path)


def checked(calibration, model):
    with closing(open_checkpoint(model)) as checkpoint:
        check_calibration(calibration, checkpoint)


def test_a_calibration_knows_its_model(own_llama):
    calibration = calibration_of(own_llama, pre_tokenizer=PRE_TOKENIZER)
    assert set(calibration.tensors[0].costs) <= set(TYPES)
    checked(calibration, own_llama)
    file = own_llama / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(dict(sorted({**config, "torch_dtype": "float32", "_name_or_path": "x"}.items()))))
    checked(calibration, own_llama)
    file.write_text(json.dumps({**config, "rms_norm_eps": 0.25}))
    with pytest.raises(UsageError, match=r"of another model than .*: its config\.json differs"):
        checked(calibration, own_llama)


def test_shapes_are_a_part_of_the_identity(llama):
    with closing(open_checkpoint(llama)) as checkpoint:
        mine = identity_of(checkpoint)
    calibration = replace(EXAMPLE, model=replace(mine, shapes="0" * 64))
    with pytest.raises(UsageError, match="names or shapes of its tensors differ"):
        checked(calibration, llama)


def test_a_gguf_file_does_not_have_an_identity(tmp_path):
    write_gguf(tmp_path / "model.gguf", {"token_embd.weight": np.zeros((2, 32), np.float32)}, {})
    with pytest.raises(UnsupportedError, match="is a GGUF file, and a calibration is of a safetensors checkpoint"):
        checked(EXAMPLE, tmp_path / "model.gguf")
