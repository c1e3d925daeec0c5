"""A budget in a format's place: the file keeps it, costs decide the types, and what cannot be is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from calibration_factory import calibration_of, with_costs, write
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli import plan, quantize, verify
from quantize_cli.api import preview
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.gguf_file.types import GGML_TYPES, WRITABLE_TYPES
from quantize_cli.mixes.base import Candidate
from quantize_cli.mixes.budget import menu, parse_types
from quantize_cli.mixes.usual_costs import usual_costs
from quantize_cli.sensitivity.model import ModelIdentity
from quantize_cli.tasks import read_tasks

PRE = {"pre_tokenizer": PRE_TOKENIZER}


@pytest.fixture(scope="module")
def measured(llama, tmp_path_factory):
    """A calibration of the tiny Llama, as a file."""
    return write(calibration_of(llama, **PRE), tmp_path_factory.mktemp("measured") / "calibration.gguf")


def planned(model, **options):
    (found,) = plan(model, **PRE, **options)
    return found


def test_a_size_is_kept_and_used_up(llama, measured):
    lossless = plan(llama, "bf16", **PRE)
    for share in (0.25, 0.3, 0.45):
        limit = int(share * lossless.file_bytes)
        found = planned(llama, target_size=limit, calibration=measured)
        assert limit - 2000 < found.file_bytes <= limit
        assert found.budget.limit_bytes == limit
        assert found.budget.said == f"--target-size {limit}"
        assert found.budget.cost == pytest.approx(sum(t.cost for t in found.tensors if t.cost is not None))
        assert found.format == f"{8 * sum(t.nbytes for t in found.tensors) / found.weights:.2f}BPW"


def test_more_bytes_cost_less(llama, measured):
    costs = [planned(llama, target_bpw=bits, calibration=measured).budget.cost for bits in (3, 3.5, 4.5, 6, 8)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 10 * costs[-1]


@pytest.mark.parametrize("mix", ["q2_k", "q3_k_m", "q4_k_m", "iq2_xs"])
def test_like_a_format_is_never_larger_and_never_worse(mix, llama, measured):
    """Within the set of types that the format takes its own from, the choice is at least as good as the format's."""
    format_plan = plan(llama, mix, calibration=measured, **PRE)
    found = planned(llama, like=mix, calibration=measured)
    assert found.file_bytes <= found.budget.limit_bytes
    assert found.budget.limit_bytes == format_plan.file_bytes
    costs = {t.name: t.costs for t in calibration_of(llama, **PRE).tensors}
    known = [costs[t.name].get(t.type) for t in format_plan.tensors if t.name in costs]
    assert None not in known
    assert found.budget.cost < sum(known)


def test_bits_count_the_tensors_alone(llama):
    found = planned(llama, target_bpw="3.5")
    bits = 8 * sum(t.nbytes for t in found.tensors) / found.weights
    assert 3.45 < bits <= 3.5
    assert "a fixed table of roles and bits" in " ".join(found.warnings)
    assert found.budget.cost is None
    assert {t.type for t in found.tensors if t.cost is None and t.reason.startswith("within")} > {"Q3_K"}


def test_memory_is_what_the_preview_says(llama, measured):
    found = preview(llama, memory="6M", context=64, calibration=measured, fits="6M", **PRE)
    (choice,) = found.choices
    assert choice.fits
    assert choice.memory.context == 64
    assert 0 <= 6 * 1024**2 - choice.memory.total < 600


def test_costs_decide(llama, measured, tmp_path):
    calibration = calibration_of(llama, **PRE)
    dear = {"blk.0.attn_q.weight": {"Q2_K": 9.0, "Q8_0": 0.0, "Q4_K": 8.0}}
    path = write(with_costs(calibration, dear), tmp_path / "dear.gguf")
    found = {t.name: t for t in planned(llama, target_bpw=3.5, calibration=path).tensors}
    assert (found["blk.0.attn_q.weight"].type, found["blk.0.attn_q.weight"].reason) == ("Q8_0", "0 nats for 69.6 kB")
    assert found["blk.0.attn_norm.weight"].cost is None


def test_tensors_without_costs_keep_a_formats_types(llama, tmp_path):
    calibration = calibration_of(llama, **PRE)
    path = write(with_costs(calibration, {"output.weight": {}}), tmp_path / "partial.gguf")
    found = planned(llama, target_bpw=4.9, calibration=path)
    output = next(t for t in found.tensors if t.name == "output.weight")
    assert (output.type, output.cost) == ("Q6_K", None)
    assert found.warnings == (
        f"The calibration does not have costs for 1 tensors (output.weight), so they get the types of "
        f"{found.budget.base}.",
    )
    assert next(f.value for f in found.files[0].metadata if f.key == "general.file_type") in range(40)


def test_what_the_user_asks_for_comes_first(llama, measured):
    said = {"tensor_types": [("ffn_up", "q8_0")], "output_tensor_type": "q5_k", "token_embedding_type": "q4_0"}
    found = planned(llama, target_bpw=6, calibration=measured, **said)
    types = {t.name: (t.type, t.cost) for t in found.tensors}
    assert types["blk.1.ffn_up.weight"] == ("Q8_0", None)
    assert types["output.weight"] == ("Q5_K", None)
    assert types["token_embd.weight"] == ("Q4_0", None)


def test_tied_tensors_count_once(tmp_path):
    model = make_checkpoint(tmp_path / "tied", tie_word_embeddings=True)
    path = write(calibration_of(model, **PRE), tmp_path / "calibration.gguf")
    found = planned(model, target_bpw=4, calibration=path)
    assert [t.name for t in found.tensors].count("token_embd.weight") == 1
    assert "output.weight" not in {t.name for t in found.tensors}
    assert next(t for t in found.tensors if t.name == "token_embd.weight").cost is not None


@pytest.mark.parametrize("options", [{"split_max_size": "1M"}, {"keep_split": True}, {"no_provenance": True}])
def test_several_files_keep_the_budget_together(options, llama, measured):
    found = planned(llama, target_size=900_000, calibration=measured, **options)
    assert 895_000 < found.file_bytes <= 900_000


def test_the_calibration_is_the_importance_matrix(llama, measured, tmp_path):
    found = planned(llama, target_bpw=3, calibration=measured)
    assert {t.importance for t in found.tensors if t.cost is not None} == {
        t.name for t in found.tensors if t.cost is not None
    }
    assert plan(llama, "iq2_xs", calibration=measured, **PRE).importance_sha256 == found.importance_sha256


def test_types_that_need_an_importance_are_left_out_without_one(llama, measured):
    found = planned(llama, target_bpw=3, calibration=measured, exclude_weights=["attn_q"])
    types = {t.type for t in found.tensors if "attn_q." in t.name}
    assert not types & {"IQ2_XS", "IQ3_XXS"}


@settings(max_examples=25, deadline=None)
@given(columns=st.sampled_from([32, 96, 256, 512, 64]), types=st.sampled_from(["k", "fast", "all", "q4_k,q8_0"]))
def test_menus_hold_types_that_fit(columns, types):
    candidate = Candidate("blk.0.attn_q.weight", (8, columns), "BF16")
    found = menu(candidate, usual_costs([candidate])[candidate.name], parse_types(types), weighted=False)
    assert all(columns % GGML_TYPES[name].block_size == 0 for name in found)
    assert ("BF16" in found) == (types in ("fast", "all"))
    assert not {"IQ2_XS", "IQ1_S", "IQ3_XXS", "F32"} & found.keys()
    if types == "k":
        legacy = {"Q4_0", "Q4_1", "Q5_0", "Q5_1"}
        assert found.keys() - {"Q8_0"} == (legacy if columns % 256 else {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target_size": 1000}, "--target-size 1000 allows a file of 1,000 bytes, but the smallest possible has"),
        ({"target_size": "1G"}, r"in F16 [\d,]+; write --format f16"),
        ({"target_size": "much"}, "'much' is not the size of a file; write --target-size as in 5.5G"),
        ({"target_bpw": "x"}, "'x' is not a number of bits"),
        ({"target_bpw": "nan"}, "'nan' is not a number of bits"),
        ({"target_bpw": 0.1}, "--target-bpw 0.1 allows a file of"),
        ({"like": "q9_k"}, "q9_k"),
        ({"memory": "1M"}, "--memory 1M leaves nothing for the file; give more, or a smaller --context"),
        ({"memory": "lots"}, "is not an amount of memory"),
        ({"memory": "1G", "context": 0}, "--context takes a number of at least 1"),
        ({"target_size": "1M", "like": "q4_k_m"}, "--target-size and --like cannot be combined"),
        ({"target_size": "1M", "pure": True}, "--target-size and --pure cannot be combined"),
        ({"target_size": "1M", "types": "q4_x"}, "q4_x"),
        ({"target_size": "1M", "types": ""}, "does not name a type"),
        ({"target_size": "1M", "types": "iq2_xs"}, "allow others with --types"),
        ({"types": "k"}, "No format is given"),
    ],
)
def test_what_cannot_be(options, says, llama):
    with pytest.raises(UsageError, match=says):
        plan(llama, **PRE, **options)


def test_a_budget_takes_the_place_of_a_format(llama):
    with pytest.raises(UsageError, match="--like takes the place of a format; leave Q4_K_M out"):
        plan(llama, "q4_k_m", like="q3_k_m", **PRE)
    with pytest.raises(UsageError, match="--types needs a budget"):
        plan(llama, "q4_k_m", types="k", **PRE)
    with pytest.raises(UsageError, match="--context counts for --memory alone"):
        quantize(llama, "q4_k_m", context=64, **PRE)


def test_a_calibration_of_another_model(llama, tmp_path):
    path = write(replace(calibration_of(llama, **PRE), model=ModelIdentity("0", "1")), tmp_path / "other.gguf")
    for options in ({"target_size": "1M"}, {"formats": "q4_k_m"}):
        with pytest.raises(UsageError, match="The calibration is of another model"):
            plan(llama, calibration=path, **PRE, **options)


def test_memory_of_an_unknown_architecture(llama, monkeypatch):
    monkeypatch.setattr("quantize_cli.planning.budget.memory_to_run", lambda *_: None)
    with pytest.raises(UnsupportedError, match="give the size of the file with --target-size"):
        plan(llama, memory="6M", **PRE)


def test_the_written_types_give_the_same_file(llama, measured, tmp_path):
    """The list is what llama-quantize takes; it ran with such a list when this was written, and no tensor differed."""
    said = {"calibration": measured, "types": "q8_0,q4_0", "target_bpw": 6, "threads": 1, "no_provenance": True, **PRE}
    (report,) = quantize(llama, output=tmp_path / "one.gguf", write_tensor_types=tmp_path / "types.txt", **said)
    lines = (tmp_path / "types.txt").read_text().splitlines()
    assert r"^blk\.0\.ffn_up\.weight$=" in "\n".join(lines)
    assert len(lines) == sum(t.cost is not None for t in report.tensors)
    assert report.budget.cost == pytest.approx(sum(t.cost for t in report.tensors if t.cost is not None))
    again = quantize(
        llama,
        report.budget.base,
        tmp_path / "two.gguf",
        imatrix=measured,
        tensor_types=[tmp_path / "types.txt"],
        threads=1,
        no_provenance=True,
        **PRE,
    )
    assert again.files[0].sha256 == report.files[0].sha256


def test_a_file_is_verified_without_its_calibration(llama, measured, tmp_path):
    """The types are in the file's own table; the importance matrix has to be given, as for any other file."""
    quantize(llama, output=tmp_path / "m.gguf", calibration=measured, types="q8_0,q4_0", target_bpw=6, threads=1, **PRE)
    found = verify(tmp_path / "m.gguf", llama, imatrix=measured)
    assert (found.findings, found.compared.bytes) == ((), found.compared.of_bytes)


def test_a_file_of_tasks_may_give_a_budget(tmp_path):
    (tmp_path / "quantize.toml").write_text('models = ["a/b"]\ntarget-bpw = 3.5\ncalibration = "c.gguf"\n')
    (task,) = read_tasks(tmp_path / "quantize.toml")
    assert (task.formats, dict(task.options)) == ((), {"target_bpw": 3.5, "calibration": str(tmp_path / "c.gguf")})
    (tmp_path / "quantize.toml").write_text(
        'models = [{model = "a/b", like = "q4_k_m"}, {model = "a/c", formats = ["q8_0"]}, "a/d"]\ntarget-bpw = 3.5\n'
    )
    assert [(task.formats, dict(task.options)) for task in read_tasks(tmp_path / "quantize.toml")] == [
        ((), {"like": "q4_k_m"}),
        (("q8_0",), {}),
        ((), {"target_bpw": 3.5}),
    ]
    (tmp_path / "quantize.toml").write_text('models = ["a/b"]\n')
    with pytest.raises(UsageError, match="gives no format"):
        read_tasks(tmp_path / "quantize.toml")


def test_the_json_of_a_plan(llama, measured):
    (as_json,) = json.loads(json.dumps(preview(llama, target_bpw=4, calibration=measured, **PRE).to_dict()))["plans"]
    assert as_json["budget"].keys() == {"said", "limit_bytes", "base", "cost"}
    costs = [t["cost"] for f in as_json["files"] for t in f["tensors"] if t["cost"] is not None]
    assert sum(costs) == pytest.approx(as_json["budget"]["cost"])
    assert preview(llama, "q4_k_m", **PRE).to_dict()["plans"][0]["budget"] is None


@pytest.mark.parametrize("type_name", ["Q8_0", "Q4_0"])
def test_the_table_of_usual_errors_is_what_the_kernels_do(type_name):
    weights = np.random.default_rng(0).standard_normal((64, 2048)).astype(np.float32)
    held = BLOCK_TYPES[type_name]
    packed, decoded = np.zeros((64, held.row_bytes(2048)), np.uint8), np.empty_like(weights)
    held.quantize(weights, packed, None)
    held.dequantize(packed, decoded)
    error = float(((weights - decoded).astype(np.float64) ** 2).sum() / (weights.astype(np.float64) ** 2).sum())
    candidate = Candidate("blk.0.ffn_up.weight", (64, 2048))
    assert usual_costs([candidate])[candidate.name][type_name] == pytest.approx(error, rel=0.02)
    assert set(usual_costs([candidate])[candidate.name]) == set(WRITABLE_TYPES) - {"F32"}
