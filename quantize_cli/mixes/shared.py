"""The rules that several mixes share, and the two families of mixes that are built from them.

Conditions and types are the reference's: src/llama-quant.cpp, `llama_tensor_get_type_impl`; a rule here is a branch
there.
"""

from __future__ import annotations

from collections.abc import Callable

from quantize_cli.mixes.base import Mix, Place, Rule
from quantize_cli.mixes.roles import VALUE_ROLES, Role

VALUE = VALUE_ROLES
DOWN = frozenset({Role.FFN_DOWN})
EMBEDDING = frozenset({Role.TOKEN_EMBD})
KEY = frozenset({Role.ATTN_K})
ATTN_OUTPUT = frozenset({Role.ATTN_OUTPUT})

Condition = Callable[[Place], bool]


def _always(_place: Place) -> bool:
    return True


def _latent_attention(place: Place) -> bool:
    return place.model.architecture == "glm5-next" and any(
        part in place.name for part in ("attn_q_a", "attn_q_b", "nextn.eh_proj")
    )


#: Before every other rule of every quantized mix.
GLM5_NEXT = Rule(frozenset({Role.OTHER}), "Q8_0", "glm5-next gets at least Q8_0 here", _latent_attention)

#: Before the other rules of all mixes but those of the fewest bits.
EIGHT_EXPERTS = (
    Rule(VALUE, "Q8_0", "attn_v is small compared with 8 experts", lambda place: place.eight_experts),
    Rule(KEY, "Q8_0", "attn_k is small compared with 8 experts", lambda place: place.eight_experts),
)
#: attn_output in most of these mixes.
EIGHT_EXPERTS_OUTPUT = Rule(
    ATTN_OUTPUT,
    "Q5_K",
    "attn_output is small compared with 8 experts",
    lambda place: place.eight_experts and not place.falcon,
)

_LARGE = "attn_v of a 70B model gets more bits"
#: Where attn_v would get Q3_K or Q4_K in any model, and where it gets Q4_K if enough heads share it.
LARGE = Rule(VALUE, "Q5_K", _LARGE, lambda place: place.model.is_70b)
LARGE_GROUPED = Rule(VALUE, "Q5_K", _LARGE, lambda place: place.model.is_70b and place.grouped)


def more_bits(roles: frozenset[Role], type_name: str, when: Condition = _always) -> Rule:
    """Make a rule for the layers at both ends, and for every third between them."""
    kind = "attn_v" if roles is VALUE else "ffn_down"
    reason = f"{kind} gets more bits in the first and last 1/8 of the layers and in every third between"
    return Rule(roles, type_name, reason, lambda place: place.more_bits and when(place))


def first_layers(share: int, type_name: str, when: Condition = _always) -> Rule:
    """Make a rule for ffn_down of the first 1/`share` of the layers."""
    reason = f"ffn_down gets more bits in the first 1/{share} of the layers"
    return Rule(DOWN, type_name, reason, lambda place: place.layer < place.count // share and when(place))


def grouped_value(type_name: str) -> Rule:
    """Make a rule for attn_v that is small compared with attn_q."""
    return Rule(VALUE, type_name, "attn_v is shared by 4 heads or more", lambda place: place.grouped)


def attn_output(type_name: str) -> Rule:
    """Make a rule for attn_output in a model that is not a Falcon and does not have 8 experts."""
    return Rule(
        ATTN_OUTPUT,
        type_name,
        "attn_output gets more bits",
        lambda place: not place.falcon and not place.eight_experts,
    )


def mixed(name: str, file_type: int, default: str, good_for: str, *rules: Rule, output: str = "Q6_K") -> Mix:
    """Make a mix whose own rules come after those of all."""
    return Mix(name, file_type, default, good_for, (GLM5_NEXT, *EIGHT_EXPERTS, *rules), output)


def fewest_bits(name: str, file_type: int, default: str, good_for: str, more: str, more_for_output: str | None) -> Mix:
    """Make a mix of less than 3 bits: `more` is for its sensitive tensors, `more_for_output` for attn_output.

    These mixes do not tell layers by name, not even with experts, and have no rule for a 70B.
    """
    rules = (
        GLM5_NEXT,
        Rule(EMBEDDING, more, "the token embedding gets more bits"),
        grouped_value("Q4_K"),
        Rule(VALUE, "Q4_K", "attn_v is small compared with 4 experts or more", lambda place: place.model.experts >= 4),
        Rule(VALUE, more, "attn_v gets more bits"),
        Rule(KEY, "Q4_K", "attn_k is small compared with 8 experts", lambda place: place.eight_experts),
        Rule(DOWN, more, "the first 1/8 of all ffn_down get more bits", lambda place: place.ordinal < place.count // 8),
        Rule(ATTN_OUTPUT, "Q5_K", "attn_output is small compared with 8 experts", lambda place: place.eight_experts),
        *((Rule(ATTN_OUTPUT, more_for_output, "attn_output gets more bits"),) if more_for_output else ()),
    )
    return Mix(name, file_type, default, good_for, rules, output="Q5_K")
