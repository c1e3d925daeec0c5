"""config.json -> GGUF hyperparameters, common to all text models, in the order in which the reference writes them."""

from __future__ import annotations

from collections.abc import Callable

from gguf import GGUFWriter, RopeScalingType

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.family import Dimensions
from quantize_cli.architectures.rope import rope_parameters
from quantize_cli.errors import CheckpointError

#: No real model comes near this many; the name map holds some three hundred tensor names for every layer.
MAX_LAYERS = 1_000

# The names that hyperparameters go by in config.json, in order of preference.
LAYERS = ("n_layers", "num_hidden_layers", "n_layer", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "dim")
FFN = ("prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size", "n_inner", "hidden_dim")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads", "n_kv_heads")
CONTEXT = (
    "max_position_embeddings",
    "n_ctx",
    "n_positions",
    "max_length",
    "max_sequence_length",
    "model_max_length",
)

SIZES: tuple[tuple[Callable[[GGUFWriter, int], None], tuple[str, ...]], ...] = (
    (GGUFWriter.add_context_length, CONTEXT),
    (GGUFWriter.add_embedding_length, HIDDEN),
    (GGUFWriter.add_feed_forward_length, FFN),
    (GGUFWriter.add_head_count, HEADS),
    (GGUFWriter.add_head_count_kv, KV_HEADS),
)

EPSILONS: tuple[tuple[Callable[[GGUFWriter, float], None], tuple[str, ...]], ...] = (
    (GGUFWriter.add_layer_norm_rms_eps, ("rms_norm_eps", "norm_eps")),
    (GGUFWriter.add_layer_norm_eps, ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")),
)

YARN: tuple[tuple[Callable[[GGUFWriter, float], None], tuple[str, ...]], ...] = (
    (GGUFWriter.add_rope_scaling_yarn_ext_factor, ("extrapolation_factor",)),
    (GGUFWriter.add_rope_scaling_yarn_attn_factor, ("attention_factor", "attn_factor")),
    (GGUFWriter.add_rope_scaling_yarn_beta_fast, ("beta_fast",)),
    (GGUFWriter.add_rope_scaling_yarn_beta_slow, ("beta_slow",)),
)


def own_kv_heads(config: Config) -> int:
    """As many key-value heads as heads: no grouped-query attention."""
    return config.required(*HEADS)


def even_heads(config: Config) -> int:
    """The width of a head where the heads share the hidden size evenly; raises CheckpointError where they cannot."""
    hidden, heads = config.required(*HIDDEN), config.required(*HEADS)
    if hidden % heads:
        raise CheckpointError(
            f"{config.path} gives hidden_size {hidden}, which is not a multiple of its {heads} attention heads."
        )
    return hidden // heads


def dimensions(config: Config) -> Dimensions:
    """The model's sizes; raises CheckpointError where one is missing or absurd."""
    heads = config.required(*HEADS)
    kv_heads = config.integer(*KV_HEADS) or heads
    if heads % kv_heads:
        raise CheckpointError(
            f"{config.path} gives {heads} attention heads, which cannot share {kv_heads} key-value heads evenly."
        )
    head = config.integer("head_dim") or even_heads(config)
    if head % 2:
        raise CheckpointError(f"{config.path} makes an attention head {head} wide, but rotary embedding needs pairs.")
    return Dimensions(
        vocab=config.required("vocab_size"),
        hidden=config.required(*HIDDEN),
        ffn=config.required(*FFN),
        layers=config.required(*LAYERS, maximum=MAX_LAYERS),
        heads=heads,
        kv_heads=kv_heads,
        head=head,
    )


def add_hyperparameters(writer: GGUFWriter, config: Config) -> None:
    """Write `config` into `writer`; raises CheckpointError where a value is of the wrong type."""
    writer.add_block_count(config.required(*LAYERS, maximum=MAX_LAYERS))
    for add_size, names in SIZES:
        if (size := config.integer(*names)) is not None:
            add_size(writer, size)
    if config.get("is_causal") is False:
        writer.add_causal_attention(False)
    _add_rope(writer, rope_parameters(config))
    _add_numbers(writer, config, EPSILONS)
    if (head := config.integer("head_dim")) is not None:
        writer.add_key_length(head)
        writer.add_value_length(head)


def _add_rope(writer: GGUFWriter, rope: Config) -> None:
    kind, factor = rope.get("rope_type"), rope.number("factor")
    if kind == "linear" and factor is not None:
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(factor)
    elif kind == "yarn" and factor is not None:
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(factor)
        writer.add_rope_scaling_orig_ctx_len(rope.required("original_max_position_embeddings"))
        _add_numbers(writer, rope, YARN)
    elif kind in ("su", "longrope"):
        writer.add_rope_scaling_type(RopeScalingType.LONGROPE)
    if (theta := rope.number("rope_theta")) is not None:
        writer.add_rope_freq_base(theta)


def _add_numbers(
    writer: GGUFWriter,
    config: Config,
    rows: tuple[tuple[Callable[[GGUFWriter, float], None], tuple[str, ...]], ...],
) -> None:
    for add_number, names in rows:
        if (number := config.number(*names)) is not None:
            add_number(writer, number)
