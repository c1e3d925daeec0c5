"""ERNIE 4.5, dense and with experts; older files have fused queries, keys and values, and fused gates."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON
from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import STACKED_EXPERTS, half
from quantize_cli.architectures.family import Family, Moves, Output, Part, Rule, leave_out, move, rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Rows, Squeeze
from quantize_cli.architectures.parts import ATTENTION, EXPERT_FFN, FFN, FFN_NORM, OUTPUT_BIAS, SHARED_EXPERT_FFN
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import ERNIE as VOCABULARY


def _of_kind(number: int) -> Moves:
    """Return the rows of queries (0), keys (1) or values (2)."""

    def moves(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
        counts = [sizes.known(symbol) for symbol in ("query", "key", "value")]
        return (Rows(shape[0], sum(counts[:number]), counts[number]),)

    return moves


ERNIE4_5 = Family(
    architecture="ernie4_5",
    metadata=COMMON,
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, FFN_NORM, FFN),
    optional=(OUTPUT_BIAS,),
    namings=(rename(r"ernie\.", "model."),),
    rules=(
        Rule(r"qkv_proj\.weight$", tuple(Output(f"{kind}_proj.weight", _of_kind(n)) for n, kind in enumerate("qkv"))),
        Rule(r"up_gate_proj\.weight$", (half(0, "gate_proj.weight"), half(1, "up_proj.weight"))),
    ),
    foldings=foldings.USUAL,
)


PADDLE_OCR = replace(
    ERNIE4_5,
    architecture="paddleocr",
    demands=(*demands.ATTENTION, Demand("rope.dimension_sections", ValueType.INT32, items=4)),
    foldings=(),
)


def _sparse(model: Model) -> list[int]:
    """Return the layers with experts: every `moe_layer_interval`-th, from `moe_layer_start_index` on."""
    first, step = model.config.natural("moe_layer_start_index") or 0, model.config.integer("moe_layer_interval") or 1
    return [number for number in range(first, model.layers) if (number + 1) % step == 0]


def _dense(model: Model) -> list[int]:
    return sorted(set(range(model.layers)) - set(_sparse(model)))


def _shared_ffn(model: Model) -> int | None:
    """Return the width of the shared experts as the reference computes it."""
    if not model.config.natural("moe_num_shared_experts"):
        return None
    return model.config.required("intermediate_size") // model.config.required("num_key_value_heads")


ERNIE4_5_MOE = replace(
    ERNIE4_5,
    architecture="ernie4_5-moe",
    metadata=(
        *COMMON,
        U32("{arch}.expert_count", "moe_num_experts"),
        U32("{arch}.expert_used_count", "moe_k"),
        U32("{arch}.interleave_moe_layer_step", "moe_layer_interval"),
        U32("{arch}.leading_dense_block_count", "moe_layer_start_index"),
        U32("{arch}.expert_feed_forward_length", "moe_intermediate_size"),
        U32("{arch}.expert_shared_count", "moe_num_shared_experts"),
        U32("{arch}.expert_shared_feed_forward_length", value=_shared_ffn),
    ),
    demands=(
        *demands.ATTENTION,
        *demands.EXPERTS,
        Demand("expert_feed_forward_length", required=True, each_layer=True),
        Demand("interleave_moe_layer_step", required=True, least=1),
    ),
    parts=(ATTENTION, FFN_NORM, FFN.among(_dense), EXPERT_FFN.among(_sparse)),
    optional=(OUTPUT_BIAS, SHARED_EXPERT_FFN.among(_sparse), Part(("exp_probs_b.bias",), _sparse)),
    namings=(*ERNIE4_5.namings, leave_out(r"^model\.mtp_(block|emb_norm|hidden_norm|linear_proj)\.\d")),
    rules=(*ERNIE4_5.rules, *STACKED_EXPERTS, move(r"e_score_correction", lambda _sizes, _shape: (Squeeze(),))),
    sizes={
        "experts": lambda sizes: sizes.model.config.integer("moe_num_experts"),
        "shared_ffn": lambda sizes: _shared_ffn(sizes.model),
    },
)
