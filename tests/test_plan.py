"""The plan: what it says of the file before a weight is read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from gguf import GGUFReader
from mix_types.record import BASE, tensor_shapes

from quantize_cli import open_checkpoint, plan, quantize
from quantize_cli.architectures.description import ModelDescription, TensorRecipe
from quantize_cli.architectures.loading import Origin
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import ValueType, field
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.planner import make_plan

#: 17 dense layers, 8 heads, rows that every block divides.
MODEL = BASE


def plan_of(folder: Path, format_name: str, **options):
    return plan(folder, format_name, pre_tokenizer=PRE_TOKENIZER, **options)


# The file is known before the run.


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_the_header_and_the_sizes_are_known_before_the_run(family, tmp_path):
    folder = make_checkpoint(tmp_path / family, family, num_hidden_layers=3)
    plan = plan_of(folder, "q8_0")
    output = tmp_path / "model.gguf"
    report = quantize(folder, "q8_0", output, pre_tokenizer=PRE_TOKENIZER, threads=1)
    written = output.read_bytes()
    (file,) = plan.files
    assert written.startswith(file.header)
    assert (
        len(written)
        == len(file.header) + file.data_bytes + file.trailer_bytes
        == plan.file_bytes
        == report.totals.file_bytes
    )
    read = GGUFReader(output).tensors
    assert [(t.name, t.tensor_type.name, tuple(t.shape), t.n_bytes) for t in read] == [
        (t.name, t.type, t.shape[::-1], t.nbytes) for t in plan.tensors
    ]
    assert [t.data_offset - len(file.header) for t in read] == [t.offset for t in plan.tensors]


def test_planning_reads_no_weight(llama):
    class HeadersOnly:
        def __init__(self, checkpoint):
            self.name, self.location = checkpoint.name, checkpoint.location
            self.sidecars, self.infos = checkpoint.sidecars, checkpoint.infos

        def read_bytes(self, name, start, stop):
            raise AssertionError("a plan must not read weights")

    checkpoint = open_checkpoint(llama)
    assert make_plan(HeadersOnly(checkpoint), FORMATS["Q4_K_M"], PRE_TOKENIZER) == plan_of(
        llama, "q4_k_m", no_provenance=True
    )


def test_a_plan_is_a_value(llama):
    plan = plan_of(llama, "q4_k_m")
    assert plan == plan_of(llama, "Q4_K_M")
    assert asdict(plan)["files"][0]["tensors"][0]["name"] == plan.tensors[0].name


def test_tensors_are_in_the_references_order(tmp_path):
    """Those of no layer first, then layers by number, not by name: 2 comes before 10."""
    folder = make_checkpoint(tmp_path / "deep", num_hidden_layers=11)
    names = [tensor.name for tensor in plan_of(folder, "f32").tensors]
    groups = [".".join(name.split(".")[:2]) if name.startswith("blk.") else "" for name in names]
    assert [group for group, _ in groupby(groups)] == ["", *(f"blk.{i}" for i in range(11))]
    assert all([*group] == sorted(group) for group in (list(g) for _, g in groupby(names, lambda n: n.split(".")[:2])))


def test_the_last_two_keys_are_those_that_llama_quantize_sets(llama):
    plan = plan_of(llama, "q5_k_m", no_provenance=True)
    assert [(field.key, field.value) for field in plan.files[0].metadata[-2:]] == [
        ("general.quantization_version", 2),
        ("general.file_type", 17),
    ]


# The mixes.


@pytest.fixture
def planned(monkeypatch):
    """A function: a model as in mix_types, a mix -> the plan of its matrices."""

    def plan(model, mix_name):
        shapes = tensor_shapes(model)
        infos = {name: TensorInfo(name, "BF16", shape, 2 * shape[0] * shape[1], "x") for name, shape in shapes.items()}
        recipes = tuple(TensorRecipe(name, shape, (name,)) for name, shape in shapes.items())
        architecture = model["architecture"]
        sizes = {
            "block_count": model["layers"],
            "attention.head_count": model["heads"],
            "attention.head_count_kv": model["kv_heads"],
            "context_length": 4096,
            "embedding_length": model["heads"] * 128,
        }
        metadata = (
            field("general.architecture", ValueType.STRING, architecture),
            field(f"{architecture}.attention.layer_norm_rms_epsilon", ValueType.FLOAT32, 1e-5),
            *(field(f"{architecture}.{key}", ValueType.UINT32, value) for key, value in sizes.items()),
        )
        description = ModelDescription(metadata, recipes, Origin("mock"))
        monkeypatch.setattr("quantize_cli.planning.planner.describe", lambda _checkpoint, _pre: description)
        return make_plan(type("Headers", (), {"name": "mock", "location": "mock", "infos": infos})(), FORMATS[mix_name])

    return plan


@pytest.mark.parametrize(
    ("architecture", "kv_heads", "attn_v"), [("llama", 8, "Q3_K"), ("llama", 1, "Q5_K"), ("qwen3", 1, "Q4_K")]
)
def test_the_mixes_are_told_the_models_traits(architecture, kv_heads, attn_v, planned):
    """All of them go into this choice: 80 layers of a Llama with grouped heads are a 70B."""
    model = {**MODEL, "architecture": architecture, "layers": 80, "kv_heads": kv_heads}
    types = {tensor.type for tensor in planned(model, "Q2_K").tensors if "attn_v" in tensor.name}
    assert types == {attn_v}


NORMS = {"attn_norm.weight", "ffn_norm.weight", "output_norm.weight"}


@pytest.mark.parametrize(
    ("family", "kept"),
    [
        ("llama", NORMS),
        ("mistral", NORMS),
        ("qwen2", NORMS | {"attn_q.bias", "attn_k.bias", "attn_v.bias"}),
        ("qwen3", NORMS | {"attn_q_norm.weight", "attn_k_norm.weight"}),
    ],
)
def test_norms_biases_and_vectors_stay_f32(family, kept, tmp_path):
    folder = make_checkpoint(tmp_path / family, family)
    f32 = {
        t.name.removeprefix("blk.").split(".", 1)[-1] if t.name.startswith("blk.") else t.name
        for t in plan_of(folder, "q4_k_m").tensors
        if t.type == "F32"
    }
    assert f32 == kept


# What the plan says of its choices.


def test_every_choice_has_a_reason_and_what_fell_back_says_from_where(planned):
    shapes = {"hidden": 320, "ffn": 400}, {"hidden": 40, "ffn": 512}
    for tensor in (t for shape in shapes for t in planned({**MODEL, **shape}, "Q4_K_M").tensors):
        assert tensor.reason
        assert (tensor.instead_of is not None) == ("instead of" in tensor.reason)
        if tensor.instead_of:
            assert f"{tensor.type} instead of {tensor.instead_of}" in tensor.reason
            assert str(tensor.shape[-1]) in tensor.reason


def test_the_warning_says_how_much_bigger_the_file_is(planned):
    model = {**MODEL, "hidden": 320, "ffn": 512, "tied": True}
    plan = planned(model, "Q4_K_M")
    fallen = [tensor for tensor in plan.tensors if tensor.instead_of]
    assert {(tensor.type, tensor.instead_of) for tensor in fallen} == {("Q5_0", "Q4_K"), ("Q8_0", "Q6_K")}
    bits = {"Q4_K": 4.5, "Q5_0": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5}
    extra = sum(round(t.weights * (bits[t.type] - bits[t.instead_of]) / 8) for t in fallen)
    (warning,) = plan.warnings
    assert f"{len(fallen)} of {len(plan.tensors)} tensors" in warning
    assert f"{extra:,} bytes" in warning


@pytest.mark.parametrize("mix", ["Q4_K_M", "IQ4_XS"])
def test_what_the_last_resort_costs_is_counted_from_the_type_the_mix_wanted(mix, planned):
    """An output matrix with rows of 40 becomes Q8_0 first and F16 then; it was to be Q6_K."""
    model = {**MODEL, "layers": 1, "hidden": 40, "ffn": 72}
    output = planned(model, mix).tensors[0]
    assert (output.name, output.type, output.instead_of) == ("output.weight", "F16", "Q6_K")


def test_no_warning_where_every_row_fits(planned):
    assert planned(MODEL, "Q4_K_M").warnings == ()


def test_a_shape_that_contradicts_config_json_is_found_by_the_plan(own_llama):
    config = json.loads((own_llama / "config.json").read_text())
    (own_llama / "config.json").write_text(json.dumps({**config, "intermediate_size": 768}))
    with pytest.raises(CheckpointError, match=r"mlp\.\w+_proj\.weight.*shape"):
        plan_of(own_llama, "q4_k_m")


def test_plans_differ_only_where_their_mixes_do(llama):
    q8, q4 = plan_of(llama, "q8_0"), plan_of(llama, "q4_k_m")
    assert [t.name for t in q8.tensors] == [t.name for t in q4.tensors]
    assert replace(q8, format="", files=()) == replace(q4, format="", files=())


def test_repr_fits_on_a_screen(tmp_path):
    text = repr(plan_of(make_checkpoint(tmp_path / "llama", "llama"), "q8_0"))
    assert len(text) < 300
    assert "format='Q8_0'" in text
