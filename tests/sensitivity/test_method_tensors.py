"""What methods round by, in the file of a calibration: it is read again, and damage is told in one sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_factory import write

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.importance.read import read_importance
from quantize_cli.sensitivity import write as writer
from quantize_cli.sensitivity.check import check_statistics
from quantize_cli.sensitivity.model import Calibration, ModelIdentity, TensorCalibration
from quantize_cli.sensitivity.read import read_calibration
from quantize_cli.texts.model import TextRecord

CONTEXT, SEQUENCES = 4, 3
EMBEDDING, QUERIES, VALUES = "token_embd.weight", "blk.0.attn_q.weight", "blk.0.attn_v.weight"
FIELDS = ("token_weights", "hessian", "output_factors")


def _random(*shape, signed=True):
    held = np.random.default_rng(shape).standard_normal(shape).astype(np.float16).astype(np.float32)
    return held if signed else np.abs(held)


_SQUARES = {"squares": np.float32([[1, 2]]), "counts": np.float32([8]), "costs": {"Q8_0": 0.5}}
EXAMPLE = Calibration(
    model=ModelIdentity("a" * 64, "b" * 64),
    architecture="llama",
    context=CONTEXT,
    texts=(TextRecord("prose", ("one",), 8, "c" * 64),),
    tensors=(
        TensorCalibration(
            EMBEDDING, np.zeros((0, 0), np.float32), np.zeros(0, np.float32), {"Q8_0": 1.0}, hessian=_random(2, 2)
        ),
        TensorCalibration(
            QUERIES,
            **_SQUARES,
            token_weights=_random(SEQUENCES, CONTEXT, signed=False),
            output_factors=_random(3, 5),
        ),
        TensorCalibration(VALUES, **_SQUARES, token_weights=_random(SEQUENCES, CONTEXT, signed=False) * 2),
    ),
    tokens=np.arange(SEQUENCES * CONTEXT, dtype=np.int32).reshape(SEQUENCES, CONTEXT),
    held_out=1,
)
#: The same as a version before methods has written it.
BEFORE = replace(
    EXAMPLE,
    tensors=tuple(
        TensorCalibration(tensor.name, tensor.squares, tensor.counts, tensor.costs) for tensor in EXAMPLE.tensors
    ),
    tokens=np.zeros((0, CONTEXT), np.int32),
    held_out=0,
)


@pytest.fixture
def file(tmp_path):
    return write(EXAMPLE, tmp_path / "calibration.gguf")


def changed(name, **values):
    """The example with one tensor changed."""
    tensors = tuple(replace(tensor, **values) if tensor.name == name else tensor for tensor in EXAMPLE.tensors)
    return replace(EXAMPLE, tensors=tensors)


def same(found, expected):
    assert np.array_equal(found.tokens, expected.tokens)
    assert found.tokens.shape == expected.tokens.shape
    assert found.held_out == expected.held_out
    for tensor, other in zip(found.tensors, expected.tensors, strict=True):
        for name in ("squares", "counts", *FIELDS):
            held = getattr(tensor, name)
            assert held.dtype == np.float32
            assert np.array_equal(held, getattr(other, name)), (tensor.name, name)
        assert tensor.costs == other.costs


def test_what_is_written_is_read_again(file, tmp_path):
    again = read_calibration(file)
    same(again, EXAMPLE)
    assert again.tokens.dtype == np.int32
    assert write(again, tmp_path / "again.gguf").read_bytes() == file.read_bytes()


def test_a_file_of_the_version_before_has_none_of_it(tmp_path):
    file = write(BEFORE, tmp_path / "before.gguf")
    assert b"token_ids" not in file.read_bytes()
    assert b"held_out" not in file.read_bytes()
    same(read_calibration(file), BEFORE)


def test_it_is_the_same_importance_matrix(file, tmp_path):
    found, expected = (read_importance(held).entries for held in (file, write(BEFORE, tmp_path / "before.gguf")))
    assert set(found) == set(expected) == {QUERIES, VALUES}
    assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_weights_beyond_float16_are_the_largest(tmp_path):
    large = _random(SEQUENCES, CONTEXT, signed=False)
    large[1, 2] = 1e6
    tensor = read_calibration(write(changed(QUERIES, token_weights=large), tmp_path / "c.gguf")).tensors[1]
    assert tensor.token_weights[1, 2] == 65504


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (changed(QUERIES, token_weights=_random(3, 3, signed=False)), "token_weights' does not hold 3 sequences of 4"),
        (changed(QUERIES, token_weights=_random(2, 4, signed=False)), "token_weights' does not hold 3 sequences of 4"),
        (changed(QUERIES, token_weights=_random(4, signed=False)), "token_weights' does not hold 3 sequences of 4"),
        (changed(QUERIES, token_weights=-np.ones((3, 4), np.float32)), "token_weights' holds numbers below 0"),
        (changed(EMBEDDING, hessian=_random(2, 3)), "hessian' is not a square matrix"),
        (changed(EMBEDDING, hessian=_random(4)), "hessian' is not a square matrix"),
        (changed(EMBEDDING, hessian=_random(2, 2, 2)), "hessian' is not a square matrix"),
        (changed(EMBEDDING, hessian=np.full((2, 2), np.nan, np.float32)), "hessian' holds NaN or infinity"),
        (changed(QUERIES, output_factors=_random(5)), "output_factors' is not a matrix"),
        (changed(QUERIES, output_factors=np.full((2, 2), np.nan, np.float32)), "output_factors' holds NaN"),
        (replace(EXAMPLE, tokens=EXAMPLE.tokens - 1), "token_ids does not hold sequences of 4 token ids"),
        (replace(EXAMPLE, tokens=EXAMPLE.tokens.ravel()[:-1]), "token_ids does not hold sequences of 4 token ids"),
        (replace(EXAMPLE, held_out=3), "held_out is 3 of 3 sequences"),
        (replace(EXAMPLE, held_out=2**32 - 1), "held_out is 4294967295 of 3 sequences"),
    ],
)
def test_values_that_cannot_be(calibration, says, tmp_path):
    refused(write(calibration, tmp_path / "broken.gguf"), says)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"calibration.token_ids", b"calibration.token_idS", "token_weights' does not hold 0 sequences of 4"),
        (b"calibration.held_out", b"calibration.held_ouT", "held_out is not there as a number from 0 on"),
    ],
)
def test_values_that_are_missing(old, new, says, file):
    content = file.read_bytes()
    assert content.count(old) == 1
    file.write_bytes(content.replace(old, new))
    refused(file, says)


def test_tensors_of_another_type(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_halves", lambda values: np.ascontiguousarray(values, "<f4"))
    refused(write(EXAMPLE, tmp_path / "wide.gguf"), "token_weights' is F32 instead of F16")
    monkeypatch.undo()
    narrow = changed(EMBEDDING, token_weights=np.zeros(0, np.float32))
    file = write(narrow, tmp_path / "narrow.gguf")
    content = file.read_bytes()
    name = f"{EMBEDDING}.hessian".encode()
    place = content.index(name) + len(name) + 4 + 2 * 8  # behind the number of dimensions and both of them
    assert content[place : place + 4] == bytes(4)  # F32
    file.write_bytes(content[:place] + bytes([1, 0, 0, 0]) + content[place + 4 :])
    refused(file, "hessian' is F16 instead of F32")


SHAPES = {EMBEDDING: (SEQUENCES * CONTEXT, 2), QUERIES: (5, 2), VALUES: (5, 2)}


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (changed(EMBEDDING, hessian=_random(3, 3)), "statistics of token_embd.weight do not fit its 12 rows of 2 weig"),
        (
            changed(QUERIES, output_factors=_random(3, 4)),
            "statistics of blk.0.attn_q.weight do not fit its 5 rows of 2",
        ),
        (
            replace(EXAMPLE, tokens=EXAMPLE.tokens + 1),
            "has token 12, and the model 12 tokens; run `quantize",
        ),
    ],
)
def test_statistics_that_do_not_fit_the_model(calibration, says):
    check_statistics(EXAMPLE, SHAPES)
    check_statistics(BEFORE, SHAPES)
    check_statistics(EXAMPLE, {VALUES: SHAPES[VALUES]})  # nothing asks for the others
    with pytest.raises(UsageError, match=says):
        check_statistics(calibration, SHAPES)


def refused(file, says):
    with pytest.raises(CheckpointError, match=says) as caught:
        read_calibration(file)
    sentence = str(caught.value)
    assert sentence.startswith(f"{file} is damaged: ")
    assert sentence.endswith("; run `quantize calibrate` again, or take another copy.")
    assert "\n" not in sentence
