"""What single classes of transformers do beyond filling in constants: one small step each, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from quantize_cli.architectures.config_classes.model_type import MAX_LAYERS, ClassRefuses, Filling
from quantize_cli.architectures.reference_data import Json

#: Changes the values that a class fills in.
Step: TypeAlias = Callable[[Filling], None]

#: Window of the Qwen classes, which keep one only if it is used. The data file has what is left of it without: null.
QWEN_WINDOW = 4096

#: Letters of `hybrid_override_pattern` (Nemotron-H) and `index_topk_pattern` (GLM-5).
HYBRID_LAYERS = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
INDEXER_LAYERS = {"F": "full", "S": "shared"}


def _spelled(spellings: Mapping[str, str], *, null_counts: bool = True) -> Step:
    """Make a step for older spellings of keys, which win over today's and vanish."""

    def rename(filling: Filling) -> None:
        for old, new in spellings.items():
            if old in filling.values:
                value = filling.values.pop(old)
                if null_counts or value is not None:
                    filling.values[new] = value

    return rename


def _always(key: str, value: Callable[[Filling], Json]) -> Step:
    """Make a step for a value that the class sets whatever config.json gives."""

    def assign(filling: Filling) -> None:
        filling.values[key] = value(filling)

    return assign


def _unless_given(key: str, value: Callable[[Filling], Json]) -> Step:
    """Make a step for a value that the class computes if config.json has none."""

    def assign(filling: Filling) -> None:
        if not filling.gives(key):
            filling.values[key] = value(filling)

    return assign


def _layer_types(layer_type: Callable[[Filling, int], str], *, when: Callable[[Filling], Json] | None = None) -> Step:
    """Make a step for `layer_types` that the class derives layer by layer if config.json has none."""

    def assign(filling: Filling) -> None:
        if not filling.gives("layer_types") and (when is None or when(filling)):
            filling.values["layer_types"] = [layer_type(filling, layer) for layer in range(filling.layers())]

    return assign


def _used_up(key: str) -> Step:
    """Make a step for a key that vanishes when the class makes `layer_types` from it."""

    def drop(filling: Filling) -> None:
        if not filling.gives("layer_types"):
            filling.values.pop(key, None)

    return drop


def _window_if_used(unused: Json) -> Step:
    """Make a step for classes that drop `sliding_window` without `use_sliding_window`."""

    def keep_or_clear(filling: Filling) -> None:
        if not filling.values.get("use_sliding_window"):
            filling.values["sliding_window"] = unused
        elif "sliding_window" not in filling.given:
            filling.values["sliding_window"] = QWEN_WINDOW

    return keep_or_clear


def _sliding(slides: Json) -> str:
    return "sliding_attention" if slides else "full_attention"


def _slide_from(default_start: int) -> Step:
    """Make a step for classes that slide the layers from `max_window_layers` on."""
    return _layer_types(
        lambda filling, layer: _sliding(layer >= filling.whole("max_window_layers", default_start)),
        when=lambda filling: filling.values["sliding_window"] is not None,
    )


def _has_rope(filling: Filling, layer: int) -> Json:
    layers = filling.items("no_rope_layers")
    if len(layers) <= layer:
        raise ClassRefuses("no_rope_layers has fewer items than the model has layers")
    return layers[layer]


def _no_rope_layers(filling: Filling) -> None:
    if filling.values["no_rope_layers"] == []:  # it counts as none
        interval = filling.positive("no_rope_layer_interval", 4)
        filling.values["no_rope_layers"] = [int((layer + 1) % interval != 0) for layer in range(filling.layers())]


def _letters(pattern: Json, meaning: Mapping[str, str]) -> list[str]:
    if not isinstance(pattern, str) or len(pattern) > MAX_LAYERS or not meaning.keys() >= set(pattern):
        raise ClassRefuses("a layer pattern is too long or has unknown letters")
    return [meaning[letter] for letter in pattern]


def _numbers(items: list[Json]) -> set[int]:
    """Return the whole numbers of a list, which may be much longer than any model has layers."""
    return {item for item in items if type(item) is int}


def _lfm2(filling: Filling) -> None:
    if filling.gives("full_attn_idxs") and not filling.gives("layer_types"):
        full = _numbers(filling.items("full_attn_idxs"))
        filling.values["layer_types"] = [
            "full_attention" if layer in full else "conv" for layer in range(filling.layers())
        ]


def _cohere2_moe(filling: Filling) -> None:
    filling.values.setdefault("first_k_dense_replace", 0)
    if not filling.gives("layer_types"):
        layers, dense = filling.layers(), filling.whole("first_k_dense_replace")
        before = filling.positive("prefix_dense_sliding_window_pattern", 1)
        after = filling.positive("sliding_window_pattern")
        filling.values["layer_types"] = [
            _sliding((layer + 1) % before if layer < dense else (layer - dense + 1) % after) for layer in range(layers)
        ]
    del filling.values["first_k_dense_replace"]


def _gemma3n(filling: Filling) -> None:
    layers, width = filling.layers(), filling.values["intermediate_size"]
    filling.values["intermediate_size"] = width if isinstance(width, list) else [width] * layers
    if not filling.gives("activation_sparsity_pattern"):
        sparse = 10 if layers > 10 else 0
        filling.values["activation_sparsity_pattern"] = [0.95] * sparse + [0.0] * (layers - sparse)


def _gemma4(filling: Filling) -> None:
    values = filling.values
    layer_types = values["layer_types"] = [*filling.items("layer_types")[:-1], "full_attention"]
    own = {"head_dim": values.pop("global_head_dim", 512)}
    heads = values.pop("num_global_key_value_heads", None)
    if heads is not None and values.get("attention_k_eq_v", True):
        own["num_key_value_heads"] = heads
    own = {key: value for key, value in own.items() if value != values.get(key)}
    if "per_layer_config" not in filling.given:
        full = [layer for layer, name in enumerate(layer_types) if name == "full_attention"]
        digits = len(str(full[-1]))
        values["per_layer_config"] = {f"{layer:0{digits}}": dict(own) for layer in full} if own else {}


def _hrm_text(filling: Filling) -> None:
    filling.values["num_hidden_layers"] = filling.given.get("num_hidden_layers", 16)
    if not filling.gives("num_layers_per_stack"):
        layers = filling.values["num_layers_per_stack"] = filling.layers()
        filling.values["num_hidden_layers"] = layers * filling.whole("H_cycles") * (filling.whole("L_cycles") + 1)


def _indexer_types(filling: Filling) -> list[Json]:
    pattern = filling.values.get("index_topk_pattern")
    if pattern is not None:
        return pattern if isinstance(pattern, list) else list(_letters(pattern, INDEXER_LAYERS))
    period, offset = max(filling.whole("index_topk_freq", 1), 1), filling.whole("index_skip_topk_offset", 2)
    return ["shared" if max(layer - offset + 1, 0) % period else "full" for layer in range(filling.layers())]


def _kimi_linear(filling: Filling) -> None:
    own = filling.values.get("linear_attn_config", {})
    if not isinstance(own, dict):
        raise ClassRefuses("linear_attn_config is not an object")
    full = own.get("full_attn_layers")
    if not filling.gives("layer_types") and isinstance(full, list) and "kda_layers" in own:
        numbers = _numbers(full)
        filling.values["layer_types"] = [
            "full_attention" if layer + 1 in numbers else "linear_attention" for layer in range(filling.layers())
        ]


def _mimo_v2_flash(filling: Filling) -> None:
    if filling.gives("sliding_window_size"):
        filling.values["sliding_window"] = filling.whole("sliding_window_size") + 1


def _ministral(filling: Filling) -> None:
    if "layer_types" in filling.given:  # transformers takes it for another type then, with no default for head_dim
        filling.values.update(model_type="ministral", head_dim=filling.given.get("head_dim"))


def _nemotron_h(filling: Filling) -> None:
    pattern = filling.values.pop("hybrid_override_pattern", None)
    filling.values.pop("num_hidden_layers", None)  # the class counts the layers
    if pattern is not None and not filling.gives("layers_block_type"):
        filling.values["layers_block_type"] = _letters(pattern, HYBRID_LAYERS)


def _routed_experts(filling: Filling) -> None:
    if filling.gives("num_experts"):
        filling.values["n_routed_experts"] = filling.values["num_experts"]


def _shared_by_all(filling: Filling) -> None:
    text = filling.values["text_config"]
    text["num_kv_shared_layers"] = text.get("num_kv_shared_layers") or text.get("num_hidden_layers")


_INDEXER_TYPES = _unless_given("indexer_types", _indexer_types)
_ROPE_HEAD = _always("head_dim", lambda filling: filling.values["qk_rope_head_dim"])
_TIED = _always("tie_word_embeddings", lambda _: True)
_GLM_EOS = _unless_given("eos_token_id", lambda filling: list(filling.kind.defaults["eos_token_id"]))

STEPS: Mapping[str, tuple[Step, ...]] = {
    "bloom": (_spelled({"n_embed": "hidden_size"}, null_counts=False),),
    "cohere2": (_used_up("sliding_window_pattern"),),
    "cohere2_moe": (_cohere2_moe,),
    "deepseek_v2": (_ROPE_HEAD,),
    "deepseek_v32": (_ROPE_HEAD, _routed_experts),
    "dots1": (_slide_from(62),),
    "falcon": (
        _spelled({"n_embed": "hidden_size"}, null_counts=False),
        _unless_given("ffn_hidden_size", lambda filling: 4 * filling.whole("hidden_size")),
    ),
    "gemma": (
        _always(
            "hidden_act",
            lambda filling: {"gelu": "gelu_pytorch_tanh"}.get(
                filling.values["hidden_act"], filling.values["hidden_act"]
            ),
        ),
    ),
    "gemma3n_text": (_gemma3n,),
    "gemma4_text": (_gemma4,),
    "gemma4_unified_assistant": (_shared_by_all,),
    "gemma4_unified_text": (_gemma4,),
    "glm": (_GLM_EOS,),
    "glm4": (_GLM_EOS,),
    "glm5_next_text": (_ROPE_HEAD, _INDEXER_TYPES),
    "glm_moe_dsa": (_ROPE_HEAD, _INDEXER_TYPES, _routed_experts),
    "gpt_bigcode": (
        _always(
            "num_key_value_heads",
            lambda filling: 1 if filling.values.get("multi_query", True) else filling.values["n_head"],
        ),
    ),
    "hrm_text": (_hrm_text,),
    "hy_v4": (_ROPE_HEAD, _always("num_key_value_heads", lambda filling: filling.values["num_attention_heads"])),
    "kimi_linear": (_kimi_linear,),
    "laguna": (
        _unless_given(
            "num_attention_heads_per_layer",
            lambda filling: [filling.values["num_attention_heads"]] * filling.layers(),
        ),
    ),
    "lfm2": (
        _lfm2,
        _spelled({"block_ff_dim": "intermediate_size", "tie_embedding": "tie_word_embeddings"}),
    ),
    "lfm2_moe": (_spelled({"tie_embedding": "tie_word_embeddings"}),),
    "lfm2_vl": (_spelled({"tie_embedding": "tie_word_embeddings"}),),
    "llama4_text": (
        _no_rope_layers,
        _layer_types(lambda filling, layer: "chunked_attention" if _has_rope(filling, layer) else "full_attention"),
    ),
    "mimo_v2_flash": (_mimo_v2_flash,),
    "minicpm3": (_ROPE_HEAD,),
    "mistral": (_ministral,),
    "mt5": (_TIED,),
    "muse_glimmer_text": (_layer_types(lambda filling, layer: _sliding((filling.layers() - 1 - layer) % 4)),),
    "nemotron_h": (
        _spelled({"mamba_d_conv": "conv_kernel", "mamba_expand": "expand", "mamba_n_groups": "n_groups"}),
        _nemotron_h,
    ),
    "qwen2": (_window_if_used(None), _slide_from(28)),
    "qwen2_5_vl_text": (_window_if_used(None), _slide_from(80)),
    "qwen2_moe": (
        _window_if_used(0),
        _layer_types(
            lambda filling, layer: _sliding(layer % 2 == 0 and layer < filling.whole("max_window_layers", 28)),
            when=lambda filling: filling.values.get("use_sliding_window"),
        ),
    ),
    "qwen2_vl_text": (_window_if_used(None), _slide_from(80)),
    "qwen3": (_window_if_used(None), _slide_from(28)),
    "qwen3_5_moe_text": (_used_up("full_attention_interval"),),
    "qwen3_5_text": (_used_up("full_attention_interval"),),
    "qwen3_moe": (_window_if_used(None),),
    "qwen3_next": (_used_up("full_attention_interval"),),
    "qwen4_exp_text": (_used_up("full_attention_interval"),),
    "smollm3": (
        _layer_types(
            lambda filling, layer: _sliding(not _has_rope(filling, layer)),
            when=lambda filling: filling.values.get("use_sliding_window") and filling.gives("sliding_window"),
        ),
    ),
    "t5": (_TIED,),
    "umt5": (_TIED,),
}
