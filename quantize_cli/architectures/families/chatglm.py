"""The GLM 4 of 2024, in its own layout and in that of transformers, and GLM Edge."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.family import Family, Part, leave_out, rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import FFN_NORM, FUSED_ATTENTION, PLAIN_FFN, PROJECTIONS, QKV_BIAS
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named, product, total
from quantize_cli.tokenizers.vocabularies import CHATGLM as VOCABULARY

_HIDDEN = ("hidden_size", "n_embed")
_HEADS = ("n_head", "num_attention_heads")
_KV_HEADS = ("multi_query_group_num", "num_key_value_heads", *_HEADS)
_FFN = ("ffn_hidden_size", "intermediate_size")
_BASE = 10000


def _rotated(model: Model) -> int:
    share, config = model.rope.number("partial_rotary_factor"), model.config
    head = config.integer("attention_dim") or config.required("hidden_size") // config.required("num_attention_heads")
    return int(head * (0.5 if share is None else share))


def _base(model: Model) -> float:
    ratio = model.config.number("rope_ratio")
    return _BASE if ratio is None else _BASE * ratio


def _fused(model: Model) -> range:
    return range(model.layers if any(".query_key_value." in name for name in model.infos) else 0)


def _apart(model: Model) -> range:
    return range(len(_fused(model)), model.layers)


CHATGLM = Family(
    architecture="chatglm",
    metadata=(
        U32("{arch}.context_length", "seq_length", *_HIDDEN),  # the reference looks for no other name of the context
        U32("{arch}.embedding_length", *_HIDDEN),
        U32("{arch}.feed_forward_length", *_FFN, value=lambda model: 4 * model.config.required(*_HIDDEN)),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.attention.head_count", *_HEADS),
        U32("{arch}.attention.head_count_kv", *_KV_HEADS),
        F32("{arch}.attention.layer_norm_rms_epsilon", "layernorm_epsilon", value=1e-5),
        U32("{arch}.rope.dimension_count", value=_rotated),
        BOOL("tokenizer.ggml.add_bos_token", value=False),
        F32("{arch}.rope.freq_base", value=_base),
    ),
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(
        FUSED_ATTENTION.among(_fused),
        *(part.among(_apart) for part in (Part(("attn_norm.weight",)), PROJECTIONS)),
        *(FFN_NORM, PLAIN_FFN),
    ),
    optional=(QKV_BIAS.among(_apart), Part(("attn_qkv.bias",), _fused)),
    namings=(leave_out(r"\.rotary_pos_emb\.inv_freq$"), rename(r"^transformer\.", "")),
    sizes={
        "vocab": Named("padded_vocab_size", "vocab_size"),
        "ffn": Named(*_FFN),
        "kv_heads": Named(*_KV_HEADS),
        "qkv": total("query", "key", "value"),
        "two": lambda _sizes: 2,
        "two_ffn": product("two", "ffn"),  # gates and others
    },
    shapes={
        "attn_qkv.weight": ("qkv", "hidden"),
        "attn_qkv.bias": ("qkv",),
        "ffn_up.weight": ("two_ffn", "hidden"),
    },
    foldings=(*foldings.WITHOUT_GATE, foldings.FUSED_UP),
)
