"""Hunyuan, dense and with experts: norms on queries and keys, and a base of rotation scaled for long contexts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.family import Family, leave_out_tied_head
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_NORM,
    OUTPUT_BIAS,
    QK_NORM,
    QKV_BIAS,
    SHARED_EXPERT_FFN,
)
from quantize_cli.architectures.rows import F32, STR, U32, Row, Source
from quantize_cli.architectures.sizes import Named, even_share, head_size
from quantize_cli.errors import UnsupportedError, shown
from quantize_cli.tokenizers.vocabularies import HUNYUAN_DENSE as VOCABULARY
from quantize_cli.tokenizers.vocabularies import HUNYUAN_MOE as RANKS

#: The context that the scaled base serves; config.json may give the one before it was scaled.
_CONTEXT = 256 * 1024
_BASE = 10000.0
#: Some config.json count the feed-forward network as an expert.
_WITHOUT = ("{arch}.expert_count",)


def _is_scaled(model: Model) -> bool:
    return model.rope.text("rope_type") == "dynamic" and "mrope_section" not in model.rope.values


def _if_scaled(value: float | str) -> Source:
    return lambda model: value if _is_scaled(model) else None


def _scaled_base(default: float, head_of: Callable[[Model], int | None]) -> Callable[[Model], float | None]:
    """Return the base of rotation; `default` is the scale where config.json does not give `alpha`."""

    def value(model: Model) -> float | None:
        alpha, head = model.rope.number("alpha"), head_of(model) or 0
        if not _is_scaled(model) or head <= 2:
            return None
        return float(_BASE * (default if alpha is None else alpha) ** (head / (head - 2)))

    return value


def _long_rows(default: float, head_of: Callable[[Model], int | None]) -> tuple[Row, ...]:
    return (
        F32("{arch}.rope.freq_base", value=_scaled_base(default, head_of)),
        STR("{arch}.rope.scaling.type", value=_if_scaled("none")),
        F32("{arch}.rope.scaling.factor", value=_if_scaled(1.0)),
        U32("{arch}.rope.scaling.original_context_length", value=_if_scaled(_CONTEXT)),
        U32("{arch}.context_length", value=_if_scaled(_CONTEXT)),
    )


def _refuse_other_scaling(model: Model) -> None:
    """Refuse what the reference refuses: the context that the scaled base serves is known for one base only."""
    base, context = model.rope.number("rope_theta"), model.config.integer("max_position_embeddings")
    if _is_scaled(model) and (base not in (None, _BASE) or context not in (_CONTEXT // 8, _CONTEXT)):
        raise UnsupportedError(
            f"{model.config.where} scales rope dynamically with rope_theta {base} and max_position_embeddings "
            f"{context}, but it is known for {_BASE:g} and for {_CONTEXT // 8} or {_CONTEXT} only; take another model."
        )


HUNYUAN_DENSE = Family(
    architecture="hunyuan-dense",
    metadata=(
        *(row for row in COMMON if row.key not in _WITHOUT),
        *_long_rows(50.0, head_size),
    ),
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, QK_NORM, FFN_NORM, FFN),
    optional=(QKV_BIAS, OUTPUT_BIAS),
    namings=(leave_out_tied_head,),
    check=_refuse_other_scaling,
    foldings=foldings.USUAL,
)


def _of_all(name: str) -> Callable[[Model], int]:
    """Return the number that all layers share; config.json lists it for each layer."""

    def value(model: Model) -> int:
        numbers = model.config.naturals(name)
        if not numbers or len(set(numbers)) > 1:
            raise UnsupportedError(
                f"{model.config.where} gives {name} as {shown(numbers)}, but llama.cpp runs Hunyuan only with one "
                "number for all layers; take another model."
            )
        return numbers[0]

    return value


HUNYUAN_MOE = replace(
    HUNYUAN_DENSE,
    architecture="hunyuan-moe",
    metadata=(
        *COMMON,
        U32("{arch}.expert_shared_feed_forward_length", "intermediate_size"),
        U32("{arch}.expert_feed_forward_length", value=_of_all("moe_intermediate_size")),
        U32("{arch}.expert_used_count", value=_of_all("moe_topk")),
        U32("{arch}.expert_shared_count", value=_of_all("num_shared_expert")),
        *_long_rows(1000.0, even_share),
    ),
    demands=(*demands.ATTENTION, *demands.EXPERTS, demands.EXPERT_WIDTH, demands.SHARED_EXPERT_WIDTH),
    vocabulary=RANKS,
    parts=(ATTENTION, QK_NORM, FFN_NORM, EXPERT_FFN, SHARED_EXPERT_FFN),
    sizes={
        "expert_ffn": lambda sizes: _of_all("moe_intermediate_size")(sizes.model),
        "shared_ffn": Named("intermediate_size"),
    },
    foldings=(),
)
