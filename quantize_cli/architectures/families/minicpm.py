"""MiniCPM 1, 2 and 4: Llama's decoder with scaled embeddings, residuals and logits."""

from __future__ import annotations

from quantize_cli.architectures import demands
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.longrope import factor_tensors
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM
from quantize_cli.architectures.rows import F32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import MINICPM as VOCABULARY


def _residual(model: Model) -> float | None:
    depth = model.config.number("scale_depth")
    return None if depth is None else depth / model.layers**0.5


def _logits(model: Model) -> float | None:
    base = model.config.integer("dim_model_base")
    return None if not base else model.config.required("hidden_size") / base


MINICPM = Family(
    architecture="minicpm",
    metadata=(
        *COMMON,
        F32("{arch}.embedding_scale", "scale_emb"),
        F32("{arch}.residual_scale", value=_residual),
        F32("{arch}.logit_scale", value=_logits),
    ),
    demands=(
        *demands.ATTENTION,
        *(Demand(f"{name}_scale", ValueType.FLOAT32) for name in ("embedding", "residual", "logit")),
    ),
    vocabulary=VOCABULARY,
    parts=(ATTENTION, FFN_NORM, FFN),
    rules=LLAMA.rules[:1],
    computed=lambda sizes: factor_tensors(sizes.model, sizes.known("head")),
)
