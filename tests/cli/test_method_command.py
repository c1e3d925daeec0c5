"""--method on the command line, where nothing of the engine is needed: what is refused, and what a plan shows."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from calibration_factory import CONTEXT, calibration_of, write
from checkpoint_factory import PRE_TOKENIZER
from command_line import assert_refused, invoke

from quantize_cli import plan
from quantize_cli.methods.table import METHODS

PRE = ("--pre-tokenizer", PRE_TOKENIZER)


@pytest.fixture(scope="module")
def calibrations(llama, tmp_path_factory):
    """A calibration with tokens, and one of an earlier version."""
    folder = tmp_path_factory.mktemp("measured")
    earlier = calibration_of(llama, pre_tokenizer=PRE_TOKENIZER)
    tokens = np.zeros((earlier.sequences, CONTEXT), np.int32)
    now = replace(earlier, tokens=tokens)
    return write(now, folder / "calibration.gguf"), write(earlier, folder / "earlier.gguf")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--method", "gptq"), "--method gptq needs a calibration of the model; make one with `quantize calibrate`"),
        (("--method", "gptk"), f"'gptk' is not a method; choose one with --method: {', '.join(METHODS)}."),
        (("--device", "cuda"), "--device is where a method computes; give one with --method"),
        (("--method", "reference", "--device", "cpu"), "--device is where a method computes"),
    ],
)
def test_options_that_do_not_go_together(llama, options, sentence, tmp_path):
    assert_refused(invoke(llama, "-f", "q4_0", *options, "-o", tmp_path / "x.gguf", *PRE), 2, sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--stream",), "reads the weights several times"),
        (("--prune-layers", "1"), "--prune-layers cannot be combined"),
    ],
)
def test_options_that_a_method_cannot_have(llama, calibrations, option, sentence, tmp_path):
    said = ("-f", "q4_0", "--method", "gptq", "--calibration", calibrations[0], *option, "-o", tmp_path / "x.gguf")
    assert_refused(invoke(llama, *said, *PRE), 2, sentence)


def test_a_calibration_of_an_earlier_version_is_refused(llama, calibrations, tmp_path):
    said = ("--method", "gptq", "--calibration", calibrations[1], "-o", tmp_path / "x.gguf")
    assert_refused(invoke(llama, "-f", "q4_0", *said, *PRE), 2, "run `quantize calibrate` again")


def test_a_gguf_file_is_refused(llama, calibrations, tmp_path):
    lossless = tmp_path / "f16.gguf"
    assert invoke(llama, "-f", "f16", "-o", lossless, *PRE).exit_code == 0
    said = ("plan", lossless, "-f", "q4_0", "--method", "gptq", "--calibration", calibrations[0])
    assert_refused(invoke(*said), 1, "is a GGUF file, and --method needs the original model")


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_the_extra_is_asked_for_before_a_weight_is_read(llama, calibrations, tmp_path):
    said = ("--method", "gptq", "--calibration", calibrations[0], "-o", tmp_path / "x.gguf")
    result = invoke(llama, "-f", "q4_0", *said, *PRE)
    assert result.exit_code == 2
    assert "pip install 'quantize-cli[calibrate]'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_plan_has_room_for_what_the_method_gives(llama, calibrations):
    usual = {"calibration": calibrations[0], "pre_tokenizer": PRE_TOKENIZER}
    ours, theirs = (plan(llama, like="q4_0", method=method, **usual)[0] for method in ("gptq", None))
    fields = {field.key: field.value for field in ours.files[0].metadata if field.key.startswith("quantize.method")}
    assert fields["quantize.method"] == "gptq"
    assert fields["quantize.method.rival"] == "Q4_0"
    assert fields["quantize.method.rival_kld_error"] == 0
    assert fields["quantize.method.tensors"] == (False,) * len(ours.tensors)
    assert not [field for field in theirs.files[0].metadata if field.key.startswith("quantize.method")]
    (bare,) = plan(llama, like="q4_0", method="gptq", no_provenance=True, **usual)
    assert not [field for field in bare.files[0].metadata if field.key.startswith("quantize.method")]


def test_a_dry_run_shows_the_size_of_the_file(llama, calibrations):
    said = ("-f", "q4_0", "--method", "gptq", "--calibration", calibrations[0], *PRE)
    shown = invoke("plan", llama, *said, "--json")
    assert (shown.exit_code, shown.stderr) == (0, "")
    (held,) = json.loads(shown.stdout)["plans"]
    expected = plan(llama, "q4_0", method="gptq", calibration=calibrations[0], pre_tokenizer=PRE_TOKENIZER)
    assert held["file_bytes"] == expected.file_bytes
    assert f"{expected.file_bytes:,} bytes" in invoke(llama, *said, "--device", "cpu", "--dry-run").stdout


def test_the_reference_is_the_default(llama, tmp_path):
    for name, options in (("one", ()), ("two", ("--method", "reference"))):
        result = invoke(llama, "-f", "q4_0", *options, "-o", tmp_path / f"{name}.gguf", *PRE)
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()
