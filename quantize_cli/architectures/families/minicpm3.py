"""MiniCPM 3: latent attention whose keys and values stay in one matrix."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import CONTEXT, FFN, HEADS, HIDDEN, KV_HEADS
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.latent_attention import LATENT_ATTENTION, LATENT_QUERIES, LATENT_SIZES
from quantize_cli.architectures.longrope import factor_tensors
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import FFN as FFN_PART
from quantize_cli.architectures.parts import FFN_NORM
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Named, product, total
from quantize_cli.tokenizers.vocabularies import MINICPM as VOCABULARY

_SPLIT = ("attn_k_b.weight", "attn_v_b.weight")


def _head(model: Model) -> int:
    return model.config.required("qk_nope_head_dim") + model.config.required("qk_rope_head_dim")


MINICPM3 = Family(
    architecture="minicpm3",
    metadata=(
        U32("{arch}.context_length", *CONTEXT),
        U32("{arch}.embedding_length", *HIDDEN),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.feed_forward_length", *FFN),
        U32("{arch}.attention.head_count", *HEADS),
        U32("{arch}.attention.head_count_kv", *KV_HEADS),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        U32("{arch}.vocab_size", "vocab_size"),
        U32("{arch}.attention.q_lora_rank", "q_lora_rank"),
        U32("{arch}.attention.kv_lora_rank", "kv_lora_rank"),
        U32("{arch}.attention.key_length", value=_head),
        U32("{arch}.rope.dimension_count", "qk_rope_head_dim"),
    ),
    demands=(
        *demands.ATTENTION,
        demands.VOCABULARY,
        *(Demand(f"attention.{rank}", required=True, least=1) for rank in ("q_lora_rank", "kv_lora_rank")),
    ),
    vocabulary=VOCABULARY,
    parts=(
        Part((*(name for name in LATENT_ATTENTION.names if name not in _SPLIT), "attn_kv_b.weight")),
        Part(LATENT_QUERIES.names[1:]),
        *(FFN_NORM, FFN_PART),
    ),
    sizes={
        **LATENT_SIZES,
        "value_head": Named("v_head_dim"),
        "nope_and_value": total("nope", "value_head"),
        "keys_and_values": product("heads", "nope_and_value"),
    },
    shapes={"attn_kv_b.weight": ("keys_and_values", "kv_lora")},
    computed=lambda sizes: factor_tensors(sizes.model, sizes.known("rope")),
    foldings=(*foldings.LATENT, foldings.Folding("attn_kv_a_norm", ("attn_kv_b",))),
)
