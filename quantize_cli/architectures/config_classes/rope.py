"""`rope_parameters` as a class of transformers fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quantize_cli.architectures.config_classes.model_type import ClassRefuses, Filling, Values
from quantize_cli.architectures.reference_data import Json

#: Classes that take `rope_parameters` as they are, and their defaults without a change.
AS_GIVEN = frozenset({"gemma4_text", "gemma4_unified_text", "laguna", "mellum", "mimo_v2_flash"})


@dataclass(frozen=True, slots=True)
class ByLayerKind:
    """A class with one set of parameters for each layer kind.

    Attributes:
        thetas: Layer kind -> key of the top level that gives its `rope_theta`.
        scaled: Layer kinds that `rope_scaling` applies to.
    """

    thetas: Mapping[str, str]
    scaled: tuple[str, ...] = ("full_attention",)


BY_LAYER_KIND = {
    "gemma3_text": ByLayerKind({"full_attention": "rope_theta", "sliding_attention": "rope_local_base_freq"}),
    "gemma3n_text": ByLayerKind({"full_attention": "rope_theta", "sliding_attention": "rope_local_base_freq"}),
    "modernbert": ByLayerKind(
        {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"},
        scaled=("full_attention", "sliding_attention"),
    ),
    "olmo3": ByLayerKind({"full_attention": "rope_theta", "sliding_attention": "rope_theta"}),
}

#: Names of the default thetas in the data file, in the order of the layer kinds.
SCOPES = ("global", "local")

#: Classes with their own spelling of `rope_theta` and `partial_rotary_factor`.
SPELLINGS = {"gpt_neox": ("rotary_emb_base", "rotary_pct")}

#: Keys that a class leaves at the top level, although it has no field of that name.
KEPT = frozenset({("phi3", "partial_rotary_factor")})

#: Rope types that a class replaces.
ROPE_TYPE_OF = {
    "hunyuan_vl_text": {"xdrope": "dynamic"},
    "phi3": {"su": "longrope", "yarn": "longrope"},
    "qwen2_5_vl_text": {"mrope": "default"},
    "qwen2_vl_text": {"mrope": "default"},
}

#: Older names of parameters that a class replaces.
OLDER_NAMES = {"hunyuan_vl_text": {"xdrope_section": "mrope_section"}}

#: Rope types of classes that know only these.
ONLY = {"phi3": {"default", "longrope"}}

#: Rope types that start from the context length of the pretraining.
SCALED_CONTEXT = frozenset({"llama3", "longrope", "yarn"})

#: Keys without which a class refuses a rope type.
REQUIRED = {
    "dynamic": {"factor"},
    "linear": {"factor"},
    "llama3": {"factor", "high_freq_factor", "low_freq_factor", "original_max_position_embeddings", "rope_theta"},
    "longrope": {"long_factor", "original_max_position_embeddings", "short_factor"},
    "proportional": {"rope_theta"},
    "yarn": {"factor", "original_max_position_embeddings"},
}


def fill_rope_parameters(filling: Filling) -> None:
    """Move what config.json says about rope into `rope_parameters`, and fill it.

    `rope_theta`, `rope_scaling` and `partial_rotary_factor` leave the top level where the class moves them.

    Raises:
        ClassRefuses: The class would not accept the parameters.
    """
    kind, values = filling.kind, filling.values
    rope: Values | None
    if kind.name in BY_LAYER_KIND:
        rope = _by_layer_kind(filling, BY_LAYER_KIND[kind.name])
    elif _moves(filling):
        rope = _common(filling)
    elif "rope_parameters" in kind.defaults or values.keys() & {"rope_parameters", "rope_scaling"}:
        rope = _as_given(filling)
    else:
        return
    if rope:
        _check(rope, filling)
    values["rope_parameters"] = rope


def _moves(filling: Filling) -> bool:
    if "rope_parameters" in filling.kind.defaults:
        return filling.kind.name not in AS_GIVEN
    return bool(filling.values.get("rope_scaling") and filling.values.get("rope_theta"))


def _as_given(filling: Filling) -> Values | None:
    rope = filling.values.pop("rope_parameters", None)
    if rope is None:
        rope = filling.kind.defaults.get("rope_parameters")
    rope = filling.values.pop("rope_scaling", rope)  # the class has both names for one value
    return None if rope is None else _copy(rope)


def _common(filling: Filling) -> Values:
    kind, values = filling.kind, filling.values
    default = kind.defaults.get("rope_parameters") or {}
    scaling = None if "rope_scaling" in kind.defaults else values.pop("rope_scaling", None)
    given = scaling or values.get("rope_parameters")
    rope = _copy(_own_scaling(default, filling) if given is None else given)
    theta_key, partial_key = SPELLINGS.get(kind.name, ("rope_theta", "partial_rotary_factor"))
    theta = _take(filling, theta_key, kind.default_theta)
    partial = _take(filling, partial_key, default.get("partial_rotary_factor"))
    if kind.name == "minimax_m2" and partial is None and values.get("rotary_dim") is not None:
        partial = filling.whole("rotary_dim") / filling.positive("head_dim")
    for parameters in _parts(rope, filling):
        parameters.setdefault("rope_theta", theta)
        if partial is not None:
            parameters.setdefault("partial_rotary_factor", partial)
        _standardize(parameters, filling)
    return rope


def _take(filling: Filling, key: str, default: Json) -> Json:
    if key in filling.kind.defaults or (filling.kind.name, key) in KEPT:
        return filling.values.get(key, default)
    return filling.values.pop(key, default)


def _own_scaling(default: Values, filling: Filling) -> Values:
    # A default with a factor is the class's own. Any other one is what the steps here make of nothing.
    if "factor" not in default:
        return {}
    own = {key: value for key, value in default.items() if (key, value) != ("rope_theta", filling.kind.default_theta)}
    if "max_position_embeddings" in own:
        own["max_position_embeddings"] = filling.values["max_position_embeddings"]
    return own


def _by_layer_kind(filling: Filling, layout: ByLayerKind) -> Values:
    values, thetas = filling.values, filling.kind.default_theta
    scaling, given = values.pop("rope_scaling", None), values.get("rope_parameters")
    rope: Values = {} if given is None else _copy(given)
    for scope, (layer_kind, key) in zip(SCOPES, layout.thetas.items(), strict=True):
        if rope.get(layer_kind) is None:
            rope[layer_kind] = {"rope_type": "default"}
        parameters = _object(rope[layer_kind])
        if scaling is not None and layer_kind in layout.scaled:
            parameters.update(_object(scaling))
        parameters.setdefault("rope_theta", values.pop(key, thetas[scope] if isinstance(thetas, dict) else thetas))
    for parameters in _parts(rope, filling):
        _standardize(parameters, filling)
    return rope


def _standardize(parameters: Values, filling: Filling) -> None:
    rope_type = parameters.setdefault("rope_type", parameters.get("type", "default"))
    if rope_type == "default":
        parameters["rope_type"] = filling.kind.default_rope_type
    if rope_type in SCALED_CONTEXT:
        key = "original_max_position_embeddings"
        if key in filling.kind.defaults:
            parameters[key] = filling.values[key]
        else:
            parameters.setdefault(key, _context(filling))


def _context(filling: Filling) -> Json:
    key = filling.kind.own_key("max_position_embeddings")
    if key not in filling.values:
        raise ClassRefuses("the class has no context length")
    return filling.values[key]


def _check(rope: Values, filling: Filling) -> None:
    name = filling.kind.name
    replaced = ROPE_TYPE_OF.get(name, {})
    for parameters in _parts(rope, filling):
        rope_type = str(parameters.setdefault("rope_type", parameters.get("type", "default")))
        parameters["rope_type"] = rope_type = replaced.get(rope_type, rope_type)
        for old, new in OLDER_NAMES.get(name, {}).items():
            if old in parameters:
                parameters.setdefault(new, parameters.pop(old))
        if not REQUIRED.get(rope_type, set()) <= parameters.keys():
            raise ClassRefuses("a rope parameter is missing")
        if rope_type not in ONLY.get(name, {rope_type}):
            raise ClassRefuses("the class does not know the rope type")
        if rope_type in ("llama3", "yarn"):
            _context(filling)


def _parts(rope: Values, filling: Filling) -> list[Values]:
    """Return the parameters of each layer kind that `rope` names and the model has, or `rope` itself."""
    layer_types = filling.values.get("layer_types")
    kinds = {kind for kind in layer_types if isinstance(kind, str)} if isinstance(layer_types, list) else set()
    nested = [key for key in rope if key in kinds]
    parts = [_object(rope[key]) for key in nested if rope[key] is not None] if nested else [rope]
    if not all(isinstance(part.get(key, ""), str) for part in parts for key in ("rope_type", "type")):
        raise ClassRefuses("a rope type is not a name")
    return parts


def _copy(rope: Json) -> Values:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in _object(rope).items()}


def _object(value: Json) -> Values:
    if not isinstance(value, dict):
        raise ClassRefuses("rope parameters are not an object")
    return value
