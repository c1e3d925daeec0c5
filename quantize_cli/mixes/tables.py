"""The mixes, under llama.cpp's names.

Conditions and types are the reference's: src/llama-quant.cpp, `llama_tensor_get_type_impl`; a row here is a branch
there. Perplexities are those that llama-quantize prints, for Llama-3-8B.
"""

from __future__ import annotations

from quantize_cli.mixes.base import Mix, Place, Rule
from quantize_cli.mixes.roles import FFN_ROLES, Role
from quantize_cli.mixes.shared import (
    ATTN_OUTPUT,
    DOWN,
    EIGHT_EXPERTS_OUTPUT,
    EMBEDDING,
    GLM5_NEXT,
    KEY,
    LARGE,
    LARGE_GROUPED,
    VALUE,
    attn_output,
    fewest_bits,
    first_layers,
    grouped_value,
    mixed,
    more_bits,
)

_ALL = frozenset(Role)
_GATE_UP = FFN_ROLES - DOWN
_KEY_QUERY = KEY | {Role.ATTN_Q}
_FEWER = "attn_q and attn_k get fewer bits"

_LEGACY = "Legacy; for rows whose length is not a multiple of 256"
_TERNARY = "Only for models that were trained with ternary weights, such as BitNet"


def _is_expert(place: Place) -> bool:
    """Tell whether the tensor is a stack: three-dimensional.

    Some matrices of latent attention are too; the reference tells them apart in one family.
    """
    stacked = len(place.shape) > 2 and place.shape[-3] > 1
    return stacked and (place.model.architecture != "bailingmoe3" or place.role in FFN_ROLES)


def _between(place: Place) -> bool:
    """Tell whether the tensor is neither in the first nor in the last eighth of the layers."""
    return place.count // 8 <= place.layer < 7 * place.count // 8


def _with_matrix(place: Place) -> bool:
    return place.has_importance


def _without_matrix(place: Place) -> bool:
    return not place.has_importance


def _no_falcon(place: Place) -> bool:
    return not place.falcon


#: Other name -> name.
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}

_MIXES = (
    Mix("F32", 0, "F32", "Exact, at twice the size of 16 bits; a source for other formats."),
    Mix("BF16", 32, "BF16", "Exact for checkpoints in BF16; a source for other formats."),
    Mix("F16", 1, "F16", "For programs and devices without BF16; more precise, but its largest value is 65504."),
    mixed("Q8_0", 7, "Q8_0", "Nearly as good as 16 bits, at about half the size (perplexity +0.0026).", output="Q8_0"),
    mixed("Q6_K", 18, "Q6_K", "Close to Q8_0, and nearly a quarter smaller (perplexity +0.0217)."),
    mixed("Q5_1", 9, "Q5_1", f"{_LEGACY}. Q5_K_M is smaller and better."),
    mixed(
        "Q5_K_M",
        17,
        "Q5_K",
        "Use it if Q4_K_M loses too much (perplexity +0.0569).",
        more_bits(VALUE, "Q6_K"),
        more_bits(DOWN, "Q6_K"),
    ),
    mixed("Q5_K_S", 16, "Q5_K", "Slightly smaller than Q5_K_M (perplexity +0.1049)."),
    mixed(
        "Q5_0",
        8,
        "Q5_0",
        f"{_LEGACY}. Q5_K_S is as big, and better.",
        first_layers(8, "Q5_1", _with_matrix),
    ),
    mixed("Q4_1", 3, "Q4_1", f"{_LEGACY}. Q4_K_M is smaller and better."),
    mixed(
        "Q4_K_M",
        15,
        "Q4_K",
        "The usual choice; close to 16 bits, at less than a third of the size (perplexity +0.1754).",
        more_bits(VALUE, "Q6_K"),
        LARGE,
        first_layers(16, "Q6_K", lambda place: place.falcon),
        more_bits(DOWN, "Q5_K", lambda place: place.falcon),
        more_bits(DOWN, "Q6_K", _no_falcon),
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "IQ4_NL",
        25,
        "IQ4_NL",
        "Unevenly spaced levels; for rows whose length is not a multiple of 256.",
        grouped_value("Q5_K"),
        first_layers(8, "Q5_K", _without_matrix),
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "Q4_K_S",
        14,
        "Q4_K",
        "Slightly smaller than Q4_K_M (perplexity +0.2689).",
        Rule(VALUE, "Q5_K", "attn_v gets more bits in the first four layers", lambda place: place.ordinal < 4),
        LARGE,
        first_layers(8, "Q5_K", _no_falcon),
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "Q4_0",
        2,
        "Q4_0",
        f"{_LEGACY}. Q4_K_S is slightly larger, and better.",
        first_layers(8, "Q4_1", _with_matrix),
    ),
    mixed(
        "IQ4_XS",
        30,
        "IQ4_XS",
        "The smallest 4-bit format; better with an importance matrix, but good without.",
        grouped_value("Q5_K"),
        first_layers(8, "Q5_K", _without_matrix),
        EIGHT_EXPERTS_OUTPUT,
    ),
    Mix(
        "MXFP4_MOE",
        38,
        "MXFP4",
        "Only for models whose experts were trained in MXFP4, such as gpt-oss; other tensors get Q8_0.",
        (
            GLM5_NEXT,
            Rule(_ALL, "MXFP4", "experts get MXFP4", _is_expert),
            Rule(_ALL, "Q8_0", "only experts get MXFP4"),
        ),
        output="Q8_0",
    ),
    mixed(
        "Q3_K_L",
        13,
        "Q3_K",
        "Between Q4_K_S and Q3_K_M in size and quality (perplexity +0.5562).",
        Rule(VALUE, "Q5_K", "attn_v gets more bits"),
        Rule(DOWN, "Q4_K", "ffn_down gets more bits", lambda place: place.falcon),
        Rule(DOWN, "Q5_K", "ffn_down gets more bits"),
        Rule(ATTN_OUTPUT, "Q4_K", "attn_output gets more bits", lambda place: place.falcon),
        attn_output("Q5_K"),
    ),
    mixed(
        "Q3_K_M",
        12,
        "Q3_K",
        "Use it if Q4_K_S does not fit into memory (perplexity +0.6569).",
        Rule(VALUE, "Q5_K", "attn_v gets more bits in the first two layers", lambda place: place.ordinal < 2),
        LARGE,
        Rule(VALUE, "Q4_K", "attn_v gets more bits"),
        first_layers(16, "Q5_K"),
        Rule(DOWN, "Q4_K", "ffn_down gets more bits", lambda place: not place.falcon or place.more_bits),
        EIGHT_EXPERTS_OUTPUT,
        attn_output("Q4_K"),
    ),
    mixed(
        "IQ3_M",
        27,
        "IQ3_S",
        "The largest IQ3 format; better with an importance matrix.",
        LARGE,
        Rule(VALUE, "Q4_K", "attn_v gets more bits"),
        first_layers(8, "Q4_K"),
        more_bits(DOWN, "Q4_K", lambda place: place.eight_experts),
        EIGHT_EXPERTS_OUTPUT,
        attn_output("Q4_K"),
    ),
    mixed(
        "IQ3_S",
        26,
        "IQ3_S",
        "The size of Q3_K_S; better with an importance matrix.",
        LARGE_GROUPED,
        grouped_value("Q4_K"),
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "Q3_K_S",
        11,
        "Q3_K",
        "Use it if Q3_K_M does not fit into memory (perplexity +1.6321).",
        LARGE,
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "IQ3_XS",
        22,
        "IQ3_S",
        "Between IQ3_S and IQ3_XXS; needs an importance matrix.",
        LARGE_GROUPED,
        grouped_value("Q4_K"),
        Rule(_KEY_QUERY, "IQ3_XXS", _FEWER),
        Rule(
            _GATE_UP,
            "IQ3_XXS",
            "ffn_gate and ffn_up get fewer bits outside the first and last 1/8 of the layers",
            _between,
        ),
        EIGHT_EXPERTS_OUTPUT,
    ),
    mixed(
        "IQ3_XXS",
        23,
        "IQ3_XXS",
        "The smallest 3-bit format; needs an importance matrix.",
        Rule(EMBEDDING, "IQ3_S", "the token embedding gets more bits"),
        LARGE_GROUPED,
        grouped_value("Q4_K"),
        Rule(VALUE, "IQ3_S", "attn_v gets more bits", _without_matrix),
        Rule(_KEY_QUERY, "IQ2_S", _FEWER),
        first_layers(8, "Q4_K", _without_matrix),
        Rule(DOWN, "Q3_K", "ffn_down gets more bits", _without_matrix),
        EIGHT_EXPERTS_OUTPUT,
        attn_output("IQ3_S"),
        output="Q5_K",
    ),
    mixed(
        "Q2_K",
        10,
        "Q2_K",
        "The smallest for any model without an importance matrix; loses a lot (perplexity +3.5199).",
        LARGE,
        grouped_value("Q4_K"),
        Rule(VALUE, "Q3_K", "attn_v gets more bits"),
        Rule(DOWN, "Q3_K", "ffn_down gets more bits"),
        EIGHT_EXPERTS_OUTPUT,
        attn_output("Q3_K"),
    ),
    mixed(
        "Q2_K_S",
        21,
        "Q2_K",
        "Slightly smaller than Q2_K; needs an importance matrix (perplexity +3.1836).",
        LARGE_GROUPED,
        grouped_value("Q4_K"),
        first_layers(8, "Q4_K"),
    ),
    fewest_bits("IQ2_M", 29, "IQ2_S", "The largest IQ2 format; needs an importance matrix.", "IQ3_S", "IQ3_S"),
    fewest_bits("IQ2_S", 28, "IQ2_XS", "Between IQ2_M and IQ2_XS; needs an importance matrix.", "IQ3_S", "IQ3_S"),
    mixed(
        "Q2_0",
        41,
        "Q2_0",
        "Only for models that were trained with weights of four values.",
        Rule(EMBEDDING, "Q4_K", "the token embedding gets more bits"),
    ),
    fewest_bits("IQ2_XS", 20, "IQ2_XS", "For large models in little memory; needs an importance matrix.", "Q2_K", None),
    mixed(
        "TQ2_0",
        37,
        "TQ2_0",
        f"{_TERNARY}; 2 bits each.",
        Rule(EMBEDDING, "Q4_K", "the token embedding gets more bits"),
    ),
    fewest_bits("IQ2_XXS", 19, "IQ2_XXS", "The smallest 2-bit format; needs an importance matrix.", "Q2_K", None),
    mixed(
        "TQ1_0",
        36,
        "TQ1_0",
        f"{_TERNARY}; packed most tightly.",
        Rule(EMBEDDING, "Q4_K", "the token embedding gets more bits"),
    ),
    fewest_bits("IQ1_M", 31, "IQ1_M", "Only for the largest models; needs an importance matrix.", "Q2_K", "IQ2_XXS"),
    fewest_bits("IQ1_S", 24, "IQ1_S", "The last resort; needs an importance matrix.", "Q2_K", "IQ2_XXS"),
    mixed("Q1_0", 40, "Q1_0", "Only for models that were trained with weights of two values."),
)

#: Name -> mix, from the most bits a weight to the fewest in Llama-3-8B without an importance matrix. MXFP4_MOE is not
#: for dense models; it stands where its experts belong.
FORMATS: dict[str, Mix] = {mix.name: mix for mix in _MIXES}
