"""config.json with the defaults of transformers, against what the reference's converter sees (golden/defaults)."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize_cli.architectures.config_classes.derived import FORMULAS
from quantize_cli.architectures.config_classes.model_type import MAX_LAYERS, model_type
from quantize_cli.architectures.config_classes.steps import STEPS
from quantize_cli.architectures.defaults import with_defaults
from quantize_cli.architectures.reference_data import read_data
from quantize_cli.errors import CheckpointError

GOLDEN = Path(__file__).parent / "golden" / "defaults"
MADE_UP = json.loads((GOLDEN / "configs.json").read_text())
LOADED = json.loads((GOLDEN / "loaded.json").read_text())
SHARED = Path(__file__).parents[3] / "shared" / "configs"
MODEL_TYPES = read_data("defaults.json")["model_types"]

#: Keys whose value differs, by configuration, and why.
EXPECTED_DIFFERENCES = {
    # transformers knows GPT-J, but the converter does not, so that the data file has no such type.
    "mlc-gpt_j": {"id2label", "rope_parameters", "rope_scaling"},
}

LLAMA = MADE_UP["llama-heads"]


def config(name: str) -> dict[str, Any]:
    if name in MADE_UP:
        return MADE_UP[name]
    path = SHARED / name / "config.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_text())


def as_json(values: dict[str, Any]) -> dict[str, Any]:
    """The same with the keys of `id2label` as text, which is how the golden files hold them."""
    return json.loads(json.dumps(values))


def test_golden_files_are_complete() -> None:
    assert len(MADE_UP) >= 100
    assert len(LOADED) == len(MADE_UP) + 72
    assert all(len(record["values"]) >= 2 for record in LOADED.values())
    assert sum(len(record["values"]) for record in LOADED.values()) > 3_000


@pytest.mark.parametrize("name", sorted(LOADED))
def test_values_are_those_that_the_converter_sees(name: str) -> None:
    made, record = as_json(with_defaults(config(name))), LOADED[name]
    wanted = {key: record["values"].get(key, "absent") for key in [*record["values"], *record["absent"]]}
    different = {key for key, value in wanted.items() if made.get(key, "absent") != value}
    assert different == EXPECTED_DIFFERENCES.get(name, set()), {key: (made.get(key), wanted[key]) for key in different}


def test_defaults_of_every_model_type_can_be_made() -> None:
    unmade = {name for name in MODEL_TYPES if len(with_defaults({"model_type": name})) == 1}
    assert unmade == {"falcon_h1"}, "it lacks mamba_n_heads; the converter reads the config.json of its class itself"


def test_the_config_is_not_changed() -> None:
    before = copy.deepcopy(MADE_UP)
    for made_up in MADE_UP.values():
        with_defaults(made_up)
    assert before == MADE_UP


def test_the_data_is_not_shared() -> None:
    before = copy.deepcopy(dict(read_data("defaults.json")))
    for name in MODEL_TYPES:
        empty_out(with_defaults({"model_type": name}))
    assert read_data("defaults.json") == before


def empty_out(value: Any) -> None:
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            empty_out(inner)
        value.clear()


@pytest.mark.parametrize("name", read_data("defaults.json")["config_as_it_stands"])
def test_classes_that_read_config_json_themselves(name: str) -> None:
    values = {"architectures": [name], "model_type": "granitemoehybrid", "layer_types": ["mamba"]}
    assert with_defaults(values) == values


@pytest.mark.parametrize("value", [None, 7, ["llama"], {"llama": 1}, "no-such-type"])
def test_unknown_model_types(value: Any) -> None:
    assert with_defaults({"model_type": value, "hidden_size": 8}) == {"model_type": value, "hidden_size": 8}


@pytest.mark.parametrize("key", ["llm_config", "lm_config", "language_config", "lfm", "text_config"])
def test_text_models_of_unknown_types_lie_over_the_top_level(key: str) -> None:
    values = with_defaults({"model_type": "no-such-type", "hidden_size": 8, key: {"hidden_size": 16, "n_layer": 2}})
    assert values["hidden_size"] == 16
    assert values["n_layer"] == 2


def test_the_thinker_of_an_unknown_type() -> None:
    thinker = {"text_config": {"hidden_size": 16}}
    assert with_defaults({"model_type": "no-such-type", "thinker_config": thinker})["hidden_size"] == 16


@pytest.mark.parametrize("key", ["text_config", "llm_config", "thinker_config"])
@pytest.mark.parametrize("value", [None, 3, "text", [1]])
def test_text_models_that_are_not_objects(key: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"config\.json gives {key} as .*must be an object"):
        with_defaults({"model_type": "no-such-type", key: value})


@pytest.mark.parametrize("layers", [MAX_LAYERS + 1, 10**9, 10**400])
def test_too_many_layers(layers: int) -> None:
    for name in ("qwen2", "gemma3_text", "lfm2", "gemma3n_text"):
        with pytest.raises(CheckpointError, match=r"gives num_hidden_layers as .*, but no model has more than 1000"):
            with_defaults({"model_type": name, "num_hidden_layers": layers})


def test_too_many_labels() -> None:
    with pytest.raises(CheckpointError, match="gives num_labels as 1000000000"):
        with_defaults({**LLAMA, "num_labels": 10**9})


def test_models_inside_models_end() -> None:
    nested: dict[str, Any] = {"model_type": "llava", "hidden_size": 8}
    for _ in range(200):
        nested = {"model_type": "llava", "text_config": nested, "hidden_size": 8}
    assert with_defaults(nested)["hidden_size"] == 8


@pytest.mark.parametrize("pattern", [0, -4, "LLLG", None, 2.5])
def test_periods_that_a_class_cannot_use_leave_the_config_as_it_stands(pattern: Any) -> None:
    values = {**LLAMA, "model_type": "gemma3_text", "sliding_window_pattern": pattern}
    assert with_defaults(values) == values


def test_every_formula_and_step_belongs_to_the_data() -> None:
    rules = [rule for entry in MODEL_TYPES.values() for rule in entry.get("derived", {}).values()]
    assert {rule["formula"] for rule in rules if "formula" in rule} == FORMULAS.keys()
    assert all(model_type(name) for name in STEPS)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 40)
    | st.sampled_from([10**9, 10**400, 0.0, 1.5, float("inf"), float("nan")])
    | st.sampled_from(["", "LLLG", "M-E*", "full_attention", "yarn", "linear", "llama3", "longrope", "llama", "0"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rope_type", "factor", "full_attention", "sliding_attention", "model_type", "0"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
READ_KEYS = sorted(
    {key for entry in MODEL_TYPES.values() for part in ("defaults", "derived") for key in entry.get(part, ())}
    | {
        key
        for entry in MODEL_TYPES.values()
        for key in (*entry.get("attribute_map", ()), *entry.get("sub_configs", ()))
    }
    | {"architectures", "id2label", "num_labels", "rope_scaling", "rope_theta", "partial_rotary_factor", "llm_config"}
    | {"full_attn_idxs", "index_topk_pattern", "linear_attn_config", "max_window_layers", "hybrid_override_pattern"}
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(MODEL_TYPES)), st.dictionaries(st.sampled_from(READ_KEYS), ANY_JSON, max_size=6))
def test_nothing_but_a_checkpoint_error_escapes(name: str, values: dict[str, Any]) -> None:
    try:
        made = with_defaults({**values, "model_type": name})
    except CheckpointError as error:
        assert str(error).startswith("config.json gives ")  # noqa: PT017 - most values raise nothing
    else:
        assert "model_type" in made
