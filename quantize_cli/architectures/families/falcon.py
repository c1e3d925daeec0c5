"""Falcon 7B, 40B and 180B: keys and values shared by groups of heads, fused with the queries of each group."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import HEADS
from quantize_cli.architectures.family import Family, Part, move
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Gathered, Move
from quantize_cli.architectures.parts import ATTENTION_NORM_BIAS, FUSED_ATTENTION, PLAIN_FFN
from quantize_cli.architectures.rows import F32, STR, U32
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.vocabularies import BPE


def _groups(model: Model) -> int:
    """Return how many key-value heads there are: one, or those of the new decoder.

    transformers counts as many as heads where config.json gives none, and so does the reference, which then fails.
    """
    config = model.config
    new = config.flag("new_decoder_architecture")
    if not new and config.get("multi_query") is not False and config.get("n_head_kv") is None:
        return 1
    return config.integer("num_kv_heads", "n_head_kv") or 1


def _four_hidden(model: Model) -> int:
    return 4 * model.config.required("hidden_size")


def _by_kind(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    groups, head = _groups(sizes.model), sizes.known("head")
    return (Gathered(groups, (sizes.known("heads") // groups * head, head, head)),)


def _fused(sizes: Sizes) -> int:
    return (sizes.known("heads") + 2 * _groups(sizes.model)) * sizes.known("head")


def _refuse_alibi(model: Model) -> None:
    """Refuse Falcon-RW, whose positions llama.cpp's falcon does not know."""
    if model.config.flag("alibi"):
        raise UnsupportedError(
            f"{model.config.where} asks for alibi, which llama.cpp does not have for Falcon; take another model."
        )


FALCON = Family(
    architecture="falcon",
    metadata=(
        U32("{arch}.context_length", value=2048),
        STR("{arch}.tensor_data_layout", value="jploski"),
        U32("{arch}.embedding_length", "hidden_size"),
        U32("{arch}.feed_forward_length", value=_four_hidden),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", *HEADS),
        U32("{arch}.attention.head_count_kv", value=_groups),
        F32("{arch}.attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ),
    demands=(demands.LAYER_NORM, *demands.HEADS),
    vocabulary=BPE,
    parts=(FUSED_ATTENTION, ATTENTION_NORM_BIAS, PLAIN_FFN),
    optional=(Part(("attn_norm_2.weight", "attn_norm_2.bias")),),
    outside=("token_embd.weight", "output_norm.weight", "output_norm.bias"),
    rules=(move(r"query_key_value", _by_kind),),
    sizes={
        "ffn": lambda sizes: _four_hidden(sizes.model),
        "kv_heads": lambda sizes: _groups(sizes.model),
        "qkv": _fused,
    },
    shapes={
        "attn_qkv.weight": ("qkv", "hidden"),
        "attn_norm_2.weight": ("hidden",),
        "attn_norm_2.bias": ("hidden",),
    },
    check=_refuse_alibi,
    foldings=(foldings.ONE_NORM, foldings.FUSED_VALUES),
)
