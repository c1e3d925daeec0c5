"""The library's face: plain values in, reports and plans out, and an observer that hears of all of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from imatrix_factory import squares, write_imatrix

import quantize_cli
from quantize_cli import Observer, Plan, Report, UsageError, plan, quantize, read_importance
from quantize_cli.cli.options import OF_A_RUN, PASSED_ON
from quantize_cli.errors import CheckpointError
from quantize_cli.keywords import Keywords, PlanKeywords
from quantize_cli.report.model import SourceReport

PRE = {"pre_tokenizer": PRE_TOKENIZER}


def types(planned):
    return {tensor.name: tensor.type for tensor in planned.tensors}


def fields(planned):
    return {field.key: field.value for field in planned.files[0].metadata}


# One format or several, a file or a stream.


def test_one_format_gives_one_report_and_several_a_list(llama, tmp_path):
    one = quantize(llama, "q8_0", tmp_path, **PRE)
    assert isinstance(one, Report)
    several = quantize(str(llama), ["Q8_0", "f16"], str(tmp_path), force=True, **PRE)
    assert [report.format for report in several] == ["Q8_0", "F16"]
    assert [Path(report.output).name for report in several] == ["tiny-llama-Q8_0.gguf", "tiny-llama-F16.gguf"]
    assert isinstance(quantize(llama, ("q8_0",), BytesIO(), **PRE), list)


def test_one_format_gives_one_plan_and_several_a_list(llama):
    one = plan(llama, "q8_0", **PRE)
    assert isinstance(one, Plan)
    assert plan(str(llama), ["q8_0"], **PRE) == [one]


def test_the_plan_is_that_of_the_run(llama, tmp_path):
    options = {"tensor_types": {"attn_v": "f16"}, "prune_layers": [1], **PRE}
    planned = plan(llama, "q4_k_m", **options)
    report = quantize(llama, "q4_k_m", tmp_path / "x.gguf", **options)
    assert [(tensor.name, tensor.type, tensor.bytes) for tensor in report.tensors] == [
        (tensor.name, tensor.type, tensor.nbytes) for tensor in planned.tensors
    ]
    assert (tmp_path / "x.gguf").stat().st_size == planned.file_bytes


@pytest.mark.parametrize("call", [quantize, plan])
@pytest.mark.parametrize(("formats", "says"), [([], "name at least one"), (["q8_0", "Q8_0"], "Q8_0 is given twice")])
def test_formats_that_are_none(call, formats, says, llama):
    with pytest.raises(UsageError, match=says):
        call(llama, formats, **PRE)


def test_unknown_keywords_are_refused_as_by_any_function(llama):
    with pytest.raises(TypeError, match=r"quantize\(\) got an unexpected keyword argument 'tensor_type'"):
        quantize(llama, "q8_0", tensor_type="attn_v=q8_0")
    with pytest.raises(TypeError, match=r"plan\(\) got an unexpected keyword argument 'threads'"):
        plan(llama, "q8_0", threads=1)


# Options: plain values, and the command line's names.


def test_the_command_line_passes_on_every_keyword_and_no_other():
    assert Keywords.__optional_keys__ - {"tensor_types"} == PASSED_ON
    assert Keywords.__optional_keys__ - PlanKeywords.__optional_keys__ == OF_A_RUN
    assert PlanKeywords.__optional_keys__ < Keywords.__optional_keys__


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tensor_types": {"attn_v": "q8_0", "attn": "f16"}}, {"tensor_types": [("ATTN_V", "Q8_0"), ("attn", "F16")]}),
        ({"prune_layers": [1]}, {"prune_layers": "1"}),
        ({"prune_layers": []}, {"prune_layers": None}),
        ({"split_max_size": 1_000_000}, {"split_max_size": "1M"}),
        ({"override_kv": {"a.b": 1, "c": "x=y:z"}}, {"override_kv": ["a.b=int:1", "c=str:x=y:z"]}),
        ({"override_kv": {"d": True, "e": 0.5}, "pure": False}, {"override_kv": ["d=bool:true", "e=float:0.5"]}),
        ({"output_tensor_type": "q8_0"}, {"output_tensor_type": "Q8_0", "token_embedding_type": None}),
    ],
)  # fmt: skip
def test_values_can_be_written_in_several_ways(one, other, llama):
    assert plan(llama, "q4_k_m", **PRE, **one) == plan(llama, "q4_k_m", **PRE, **other)


def test_the_first_matching_type_wins(llama):
    pairs = [("attn_v", "q8_0"), ("attn", "f16")]
    for given, expected in ((pairs, "Q8_0"), (pairs[::-1], "F16")):
        assert types(plan(llama, "q4_k_m", tensor_types=given, **PRE))["blk.0.attn_v.weight"] == expected


def test_fields_have_the_types_of_their_values(llama):
    set_ = {"general.name": "Mine", "own.flag": False, "own.count": 7, "own.share": 0.5}
    found = fields(plan(llama, "q8_0", override_kv=set_, **PRE))
    assert {key: found[key] for key in set_} == set_
    assert {key: type(found[key]) for key in set_} == {key: type(value) for key, value in set_.items()}


def test_an_importance_matrix_is_a_file_or_a_value(llama, tmp_path):
    file = write_imatrix(
        tmp_path / "imatrix.gguf", {"blk.0.ffn_up.weight": squares(256), "blk.1.ffn_up.weight": squares(256)}
    )
    read = plan(llama, "q4_k_m", imatrix=file, **PRE)
    assert plan(llama, "q4_k_m", imatrix=read_importance(file), **PRE) == read
    chosen = plan(llama, "q4_k_m", imatrix=file, include_weights="blk.1", no_provenance=True, **PRE)
    assert chosen == plan(llama, "q4_k_m", imatrix=file, exclude_weights=["blk.0"], no_provenance=True, **PRE)
    assert [t.name for t in chosen.tensors if t.importance] == ["blk.1.ffn_up.weight"]
    without = plan(llama, "q4_k_m", imatrix=file, include_weights=["nothing"], **PRE)
    assert without.files == plan(llama, "q4_k_m", **PRE).files


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prune_layers": [-1]}, "is not a list of layers"),
        ({"split_max_size": 0}, "is not a size"),
        ({"split_max_size": "4X"}, "is not a size"),
        ({"override_kv": {"key": None}}, "not of the form"),
        ({"override_kv": {"key": 1 << 32}}, "is not an integer of at most 32 bits"),
        ({"tensor_types": {"(": "q8_0"}}, "not a regular expression"),
        ({"include_weights": "x"}, "select from an importance matrix"),
        ({"pre_tokenizer": "gpt2"}, "did you mean gpt-2"),
        ({"keep_split": True, "split_max_size": "1G"}, "cannot be combined"),
    ],
)
def test_values_that_mean_nothing_are_refused_before_the_model_is_looked_at(options, says):
    for call in (quantize, plan):
        with pytest.raises(UsageError, match=says):
            call("no/such-model", "q8_0", **options)


# What must not be overwritten.


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("how", ["as it is", "by a link"])
def test_no_file_of_the_model_is_overwritten(name, how, own_llama, tmp_path):
    victim = own_llama / name
    before = victim.read_bytes()
    output = victim
    if how == "by a link":
        output = tmp_path / "link.gguf"
        output.symlink_to(victim)
    with pytest.raises(
        UsageError, match=f"{output.name} is one of the files that the run reads; choose another path with -o"
    ):
        quantize(own_llama, "q8_0", output, force=True, **PRE)
    assert victim.read_bytes() == before


def test_neither_report_nor_importance_matrix_take_a_files_place(own_llama, tmp_path):
    with pytest.raises(UsageError, match=r"config\.json is one of the files that the run reads.*--report"):
        quantize(own_llama, "q8_0", tmp_path / "x.gguf", report=own_llama / "config.json", force=True, **PRE)
    imatrix = write_imatrix(tmp_path / "imatrix.gguf", {"blk.0.ffn_up.weight": squares(256)})
    with pytest.raises(UsageError, match=r"imatrix\.gguf is one of the files that the run reads"):
        quantize(own_llama, "q8_0", imatrix, imatrix=imatrix, force=True, **PRE)
    with pytest.raises(UsageError, match="cannot hold both"):
        quantize(own_llama, "q8_0", tmp_path / "x.md", report=str(tmp_path / "x.md"), **PRE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imatrix.gguf", "tiny-llama"]


def test_another_file_beside_the_model_may_be_written(own_llama):
    quantize(own_llama, "q8_0", own_llama / "tiny.gguf", report=own_llama / "report.json", **PRE)
    (report,) = json.loads((own_llama / "report.json").read_text())["reports"]
    assert report["output"] == str(own_llama / "tiny.gguf")
    before = {path: path.read_bytes() for path in own_llama.iterdir()}
    with pytest.raises(UsageError, match="one of the files that the run reads"):
        quantize(own_llama / "tiny.gguf", "q8_0", own_llama / "tiny.gguf", force=True)
    quantize(own_llama / "tiny.gguf", "q8_0", own_llama / "config.json", force=True, allow_requantize=True)
    assert (own_llama / "config.json").read_bytes() != before.pop(own_llama / "config.json")
    assert {path: path.read_bytes() for path in before} == before


# What an observer hears.


class Recorder(Observer):
    def __init__(self):
        self.events = []
        self.threads = set()

    def __getattribute__(self, name):
        if not hasattr(Observer, name) or name.startswith("__"):
            return object.__getattribute__(self, name)

        def record(*values, kept=None):
            self.threads.add(threading.get_ident())
            self.events.append((name, *values) if kept is None else (name, *values, kept))

        return record


@pytest.mark.parametrize("cold", [True, False])
def test_the_observer_hears_of_all_in_order(cold, tmp_path, monkeypatch):
    folder = make_checkpoint(tmp_path / "odd", intermediate_size=272, num_hidden_layers=1)
    monkeypatch.setattr("quantize_cli.run.compiling._is_cached", lambda _kernel: not cold)
    monkeypatch.setattr("quantize_cli.run.compiling.started", lambda _most: None)
    monkeypatch.setattr("quantize_cli.run.ahead.started", lambda _most: None)
    recorder = Recorder()
    reports = quantize(folder, ["q8_0", "f16"], tmp_path, observer=recorder, report=tmp_path / "r.md", **PRE)
    kinds = [kind for kind, *_ in recorder.events]
    assert recorder.threads == {threading.get_ident()}
    before = kinds[: kinds.index("tensor_started")]
    compiled = [event[2:] for event in recorder.events if event[0] == "kernel_compiled"]
    assert compiled == [(number, len(compiled)) for number in range(1, len(compiled) + 1)]
    compiling = ["compiling", *["kernel_compiled"] * len(compiled), "compiled"]
    assert before == ["warned", *(compiling if cold else []), "started"]
    assert bool(compiled) == cold
    assert recorder.events[0][1] == reports[0].warnings[0]
    assert kinds.count("tensor_started") == len(reports[0].tensors)
    assert sum(event[1] for event in recorder.events if event[0] == "weights_done") == reports[0].totals.weights
    assert recorder.events[-2:] == [("finished", report) for report in reports]


def test_nothing_is_finished_where_the_report_cannot_be_written(llama, tmp_path, monkeypatch):
    recorder = Recorder()
    (tmp_path / "r.md").mkdir()
    monkeypatch.setattr("quantize_cli.job.check_report_path", lambda *_args, **_options: None)
    with pytest.raises(quantize_cli.OutputError, match=r"r\.md cannot be written"):
        quantize(llama, "q8_0", tmp_path / "x.gguf", observer=recorder, report=tmp_path / "r.md", force=True, **PRE)
    assert "finished" not in [kind for kind, *_ in recorder.events]


# The package.

IMPORTS = """
import sys
from quantize_cli import plan, FORMATS, Observer, Plan, QuantizeError, open_checkpoint, quantize, read_importance
assert plan(sys.argv[1], "q4_k_m", pre_tokenizer="gpt-2").file_bytes
import quantize_cli, quantize_cli.planning.model as room
assert quantize_cli.plan(sys.argv[1], "q4_k_m", pre_tokenizer="gpt-2").format == "Q4_K_M"
assert room.Plan is Plan and "Q4_K_M" in FORMATS
print(*sorted({"numba", "click", "rich", "torch", "huggingface_hub"} & set(sys.modules)))
"""


def test_planning_needs_neither_a_compiler_nor_a_command_line(llama):
    done = subprocess.run([sys.executable, "-c", IMPORTS, str(llama)], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_errors_have_one_base_and_a_missing_model_is_one_of_them():
    for name in ("CheckpointError", "OutputError", "UnsupportedError", "UsageError"):
        assert issubclass(getattr(quantize_cli, name), quantize_cli.QuantizeError)
    with pytest.raises(CheckpointError, match="does not exist; check the path"):
        quantize("nowhere", "q8_0")


# What was written.


@pytest.mark.parametrize("where", ["parts", "stream"])
def test_the_report_tells_the_size_and_hash_of_every_file(where, llama, tmp_path):
    stream = BytesIO()
    if where == "parts":
        reports = quantize(llama, ["f32", "q8_0"], tmp_path, split_max_size="1M", **PRE)
        whole = {str(path): path.read_bytes() for path in tmp_path.iterdir()}
    else:
        reports = [quantize(llama, "q8_0", stream, **PRE)]
        whole = {"-": stream.getvalue()}
    files = [file for report in reports for file in report.files]
    assert len(files) == len(whole)
    assert {file.path: (file.bytes, file.sha256) for file in files} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in whole.items()
    }
    assert [report.output for report in reports] == [report.files[0].path for report in reports]


def test_the_report_tells_the_source_and_the_options(llama, tmp_path):
    options = {
        "tensor_types": {"attn_v": "q6_k"},
        "pure": True,
        "prune_layers": iter([1]),
        "leave_output_tensor": False,
    }
    report = quantize(llama, "q8_0", tmp_path, threads=1, **options, **PRE)
    assert report.source == SourceReport(str(llama), None, None)
    assert report.imatrix is None
    assert report.options == {"tensor_types": {"attn_v": "q6_k"}, "pure": True, "prune_layers": [1], **PRE}
    assert not any(tensor.name.startswith("blk.1.") for tensor in report.tensors)
