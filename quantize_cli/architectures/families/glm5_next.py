"""GLM 5 Next: delta attention, latent attention with an indexer, experts, and hyper-connections around both halves."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.delta_attention import (
    DELTA_ATTENTION,
    DELTA_ROWS,
    DELTA_RULES,
    DELTA_SHAPES,
    KV_HEADS_BY_LAYER,
    LOWER_BOUND,
    delta_layers,
    latent_layers,
)
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.kimi_linear import KIMI_LINEAR
from quantize_cli.architectures.family import Part, leave_out_tied_head, move, rename
from quantize_cli.architectures.latent_attention import (
    LATENT_ATTENTION,
    LATENT_QUERIES,
    NOPE_ROWS,
    SPLIT_KEYS_AND_VALUES,
)
from quantize_cli.architectures.manifold_connections import (
    MANIFOLD_CONNECTIONS,
    MANIFOLD_DEMANDS,
    MANIFOLD_ROWS,
    MANIFOLD_SHAPES,
    MANIFOLD_SIZES,
)
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Squeeze
from quantize_cli.architectures.mtp import MTP, OWN_MTP_HEAD, appended_mtp_layers, stored_appended_layers
from quantize_cli.architectures.parts import EXPERT_FFN, FFN, FFN_NORM, SHARED_EXPERT_FFN, dense_first, sparse_rest
from quantize_cli.architectures.pooled_indexer import (
    POOL_DEMANDS,
    POOL_ROWS,
    POOL_SHAPES,
    POOL_SIZES,
    POOLED_INDEXER,
    indexed_layers,
)
from quantize_cli.architectures.rows import BOOL, F32, U32
from quantize_cli.architectures.sizes import Named
from quantize_cli.architectures.swiglu import SWIGLU_LIMITS
from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.vocabularies import GLM as VOCABULARY

_LATENT = (LATENT_ATTENTION, Part(LATENT_QUERIES.names[1:]))
_EXPERTS = (EXPERT_FFN, SHARED_EXPERT_FFN, Part(("exp_probs_b.bias",)))
_MTP_LAYER = (*_LATENT, POOLED_INDEXER, FFN_NORM, *_EXPERTS, MTP)


def _refuse_others(model: Model) -> None:
    """Refuse what llama.cpp does not run: latent attention with rope, and layers without hyper-connections."""
    config = model.config
    if config.get("qk_rope_head_dim") or not config.flag("mla_use_nope") or config.flag("mhc") is False:
        raise UnsupportedError(
            f"{config.where} is of a GLM 5 Next with rope, or without hyper-connections, which llama.cpp does not run; "
            "take another variant of the model."
        )


GLM5_NEXT = replace(
    KIMI_LINEAR,
    architecture="glm5-next",
    metadata=(
        *(row for row in COMMON if row.names != ("head_dim",)),
        *(KV_HEADS_BY_LAYER, U32("{arch}.vocab_size", "vocab_size")),
        F32("{arch}.attention.layer_norm_epsilon", value=1e-6),
        U32("{arch}.nextn_predict_layers", value=lambda model: model.extra_layers or None),
        *(*DELTA_ROWS, LOWER_BOUND),
        *(*NOPE_ROWS, *POOL_ROWS, *MANIFOLD_ROWS),
        U32("{arch}.leading_dense_block_count", "first_k_dense_replace"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_count", "n_shared_experts"),
        F32("{arch}.expert_weights_scale", "routed_scaling_factor"),
        BOOL("{arch}.expert_weights_norm", "norm_topk_prob"),
        *SWIGLU_LIMITS,
    ),
    demands=(
        *(demand for demand in KIMI_LINEAR.demands if demand.key != "expert_gating_func"),
        Demand("attention.q_lora_rank", required=True, least=1),
        *(*POOL_DEMANDS, *MANIFOLD_DEMANDS),
    ),
    vocabulary=VOCABULARY,
    parts=(
        *(Part(("attn_norm.weight",)), FFN_NORM, MANIFOLD_CONNECTIONS),
        DELTA_ATTENTION.among(delta_layers),
        *(part.among(latent_layers) for part in _LATENT),
        *(POOLED_INDEXER.among(indexed_layers), FFN.among(dense_first)),
        *(part.among(sparse_rest) for part in _EXPERTS),
        *(part.among(stored_appended_layers) for part in _MTP_LAYER),
    ),
    optional=(POOLED_INDEXER.among(latent_layers), OWN_MTP_HEAD.among(stored_appended_layers)),
    namings=(
        leave_out_tied_head,
        rename(r"(\.hc_(?:attn|ffn)_(?:fn|base|scale)|\.index_kpool_compress_(?:ape|gate))$", r"\1.weight"),
    ),
    rules=(*DELTA_RULES, move(r"\.A_log$", lambda _sizes, _shape: (Squeeze(),)), SPLIT_KEYS_AND_VALUES),
    # The reference keeps these, because they are small.
    stored_types=((r"^blk\..*(hc_attn_|hc_ffn_|indexer_compressor_|ssm_a|ssm_dt|exp_probs_b)", "F32"),),
    sizes={
        **KIMI_LINEAR.sizes,
        **POOL_SIZES,
        **MANIFOLD_SIZES,
        "rope": lambda _sizes: 0,
        "shared_experts": Named("n_shared_experts"),
    },
    shapes=DELTA_SHAPES | POOL_SHAPES | MANIFOLD_SHAPES | {"ssm_a": ("heads",)},
    extra_layers=appended_mtp_layers,
    check=_refuse_others,
    foldings=(),
)
