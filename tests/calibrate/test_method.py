"""A file that a method rounds: its bytes, what it tells of them, and how a run that was stopped goes on."""

from __future__ import annotations

import io
import shutil
from collections import namedtuple
from dataclasses import replace
from functools import partial

import pytest
from prompt import EXAMPLE, Stopper, calibrated, left

from quantize_cli import plan, quantize, verify
from quantize_cli.calibrate import method
from quantize_cli.calibrate.rounding import Rounding
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import OutputError
from quantize_cli.methods.needs import needs_of_method
from quantize_cli.methods.table import METHODS
from quantize_cli.observer import Observer
from quantize_cli.run import executor
from quantize_cli.sensitivity.read import read_calibration

#: One type for all tensors, whose kernels are compiled soon.
USUAL = {"pure": True, "method": "gptq", "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def _few_tokens():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "COMPARED_TOKENS", 64)
        yield


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    path = tmp_path_factory.mktemp("measured") / "c.gguf"
    calibrated(path, tokens=128, types=("Q4_0",))
    return path


@pytest.fixture(scope="module")
def made(calibration, tmp_path_factory):
    """The file of a run that is not stopped, and its report."""
    path = tmp_path_factory.mktemp("whole") / "x.gguf"
    report = quantize(EXAMPLE, "q4_0", path, calibration=calibration, **USUAL)
    assert left(path.parent) == ["x.gguf"]
    return path, report


def metadata(path):
    return {field.key: field.value for field in GgufCheckpoint(path).metadata}


def test_threads_slabs_and_streams_do_not_change_a_byte(made, calibration, tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "run", partial(executor.run, slab_weights=1 << 13))
    stream = io.BytesIO()
    quantize(EXAMPLE, "q4_0", stream, calibration=calibration, **{**USUAL, "threads": 2})
    assert stream.getvalue() == made[0].read_bytes()


def test_the_file_and_the_report_tell_what_the_method_gave(made, calibration):
    path, report = made
    told, outcome = metadata(path), report.method
    assert outcome is not None
    ours, reference = outcome.files
    assert ours.divergence.mean_kld <= reference.divergence.mean_kld, "the method is better, so that it is tested"
    assert (told["quantize.method"], told["quantize.method.instead_of"]) == ("gptq", "reference")
    assert told["quantize.method.kld"] == pytest.approx(ours.divergence.mean_kld, rel=1e-6)
    assert told["quantize.method.kld_error"] == pytest.approx(ours.divergence.mean_kld_error, rel=1e-6)
    assert told["quantize.method.reference_kld"] == pytest.approx(reference.divergence.mean_kld, rel=1e-6)
    marked = [tensor.name for tensor, yes in zip(report.tensors, told["quantize.method.tensors"], strict=True) if yes]
    assert sorted(marked) == sorted(outcome.chosen) == sorted(t.name for t in report.tensors if t.rounded_by == "gptq")
    assert marked
    planned = plan(EXAMPLE, "q4_0", calibration=calibration, method="gptq", pure=True)
    assert planned.file_bytes == path.stat().st_size


def test_only_marked_tensors_differ_from_the_reference_and_are_not_compared(made, calibration, tmp_path):
    path, report = made
    quantize(EXAMPLE, "q4_0", tmp_path / "r.gguf", calibration=calibration, pure=True)
    ours, theirs = GgufCheckpoint(path), GgufCheckpoint(tmp_path / "r.gguf")
    differ = {
        name
        for name, info in ours.infos.items()
        if (ours.read_bytes(name, 0, info.rows) != theirs.read_bytes(name, 0, info.rows)).any()
    }
    assert differ == set(report.method.chosen)
    found = verify(path, EXAMPLE, imatrix=calibration)
    assert found.sound
    assert found.compared.tensors == len(report.tensors) - len(differ)
    assert any(f"'gptq' has made the bytes of {len(differ)} of" in note for note in found.notes)


def test_a_run_that_is_stopped_within_the_rounding_goes_on_at_its_block(made, calibration, tmp_path, monkeypatch):
    said = partial(quantize, EXAMPLE, "q4_0", tmp_path / "x.gguf", calibration=calibration, **USUAL)
    with pytest.raises(KeyboardInterrupt):
        said(observer=Stopper("rounding", 2))
    assert left(tmp_path) == [".x.gguf.unfinished"]
    blocks, own = [], Rounding._block

    def block(self, passage, number):
        blocks.append(number)
        return own(self, passage, number)

    monkeypatch.setattr(Rounding, "_block", block)
    said()
    assert blocks == [2, 3]
    assert (tmp_path / "x.gguf").read_bytes() == made[0].read_bytes()
    assert left(tmp_path) == ["x.gguf"]


class Measuring(Observer):
    """Notes the most bytes that a folder has had."""

    def __init__(self, folder):
        self.folder, self.most = folder, 0

    def stage(self, name, done, total):
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        self.most = max(self.most, sum(path.stat().st_size for path in files))


def test_the_disk_space_is_about_what_was_foretold(calibration, tmp_path):
    heard = Measuring(tmp_path)
    quantize(EXAMPLE, "q4_0", tmp_path / "x.gguf", calibration=calibration, observer=heard, **USUAL)
    planned = plan(EXAMPLE, "q4_0", calibration=calibration, pure=True, method="gptq")
    foretold = needs_of_method(planned, METHODS["gptq"], read_calibration(calibration), 1).disk_bytes
    assert 0.8 * foretold < heard.most < 1.2 * foretold


class Late(Observer):
    """Stops a run when the first weights are written."""

    def tensor_started(self, tensor):
        raise KeyboardInterrupt


def test_a_run_that_is_stopped_behind_the_rounding_does_not_round_again(made, calibration, tmp_path, monkeypatch):
    said = partial(quantize, EXAMPLE, "q4_0", tmp_path / "x.gguf", calibration=calibration, **USUAL)
    with pytest.raises(KeyboardInterrupt):
        said(observer=Late())
    assert ".x.gguf.unfinished" in left(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(method, "choose", None)
        said()
    assert (tmp_path / "x.gguf").read_bytes() == made[0].read_bytes()
    assert left(tmp_path) == ["x.gguf"]


def test_a_disk_without_room_for_what_lies_beside_the_file(calibration, tmp_path, monkeypatch):
    size = plan(EXAMPLE, "q4_0", pure=True, calibration=calibration).file_bytes
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(1 << 40, 0, 2 * size))
    said = partial(quantize, EXAMPLE, "q4_0", calibration=calibration)
    with pytest.raises(OutputError, match=r"x\.gguf will take [\d,]+ bytes, but the disk has [\d,]+ free"):
        said(tmp_path / "x.gguf", **USUAL)
    assert left(tmp_path) == []
    said(tmp_path / "r.gguf", pure=True, threads=1)


class Warnings(Observer):
    def __init__(self):
        self.sentences = []

    def warned(self, sentence):
        self.sentences.append(sentence)


@pytest.mark.parametrize("best", [1, 2])
def test_what_is_better_is_kept(best, calibration, tmp_path, monkeypatch):
    """The figures of a method are made worse: then the file holds the reference's blocks, or the rival."""
    own = method.choose

    def choose(*arguments):
        chosen, outcome = own(*arguments)
        files = [
            replace(held, divergence=replace(held.divergence, mean_kld=abs(number - best) + 0.5))
            for number, held in enumerate((outcome.ours, *outcome.others))
        ]
        return chosen, replace(outcome, ours=files[0], others=tuple(files[1:]))

    monkeypatch.setattr(method, "choose", choose)
    path, heard = tmp_path / "x.gguf", Warnings()
    usual = {"calibration": calibration, "types": "q4_0", "threads": 1}
    (report,) = quantize(EXAMPLE, (), path, like="q4_0", method="gptq", observer=heard, **usual)
    assert any("gptq is not better here: its KLD is" in sentence for sentence in heard.sentences)
    assert heard.sentences[-1] in report.warnings
    told = metadata(path)
    assert (told["quantize.method"], told["quantize.method.instead_of"]) == ("reference", "gptq")
    assert (told["quantize.method.kld"], told["quantize.method.rival"]) == (0.5, "Q4_0")
    assert not any(told["quantize.method.tensors"])
    expected = {"formats": "q4_0"} if best == 2 else {"like": "q4_0", "types": "q4_0"}
    quantize(EXAMPLE, output=tmp_path / "r.gguf", calibration=calibration, threads=1, **expected)
    ours, theirs = GgufCheckpoint(path), GgufCheckpoint(tmp_path / "r.gguf")
    for name, info in theirs.infos.items():
        assert ours.infos[name].dtype == info.dtype
        assert (ours.read_bytes(name, 0, info.rows) == theirs.read_bytes(name, 0, info.rows)).all()
