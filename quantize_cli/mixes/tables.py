"""The mixes, under llama.cpp's names. Conditions and types are the reference's: src/llama-quant.cpp,
`llama_tensor_get_type_impl`; a row here is a branch there.
"""  # noqa: D205

from __future__ import annotations

from gguf import LlamaFileType

from quantize_cli.mixes.base import Mix, Place, Rule
from quantize_cli.mixes.roles import VALUE_ROLES, Role

_VALUE = VALUE_ROLES
_DOWN = frozenset({Role.FFN_DOWN})
_ATTN_OUTPUT = frozenset({Role.ATTN_OUTPUT})


def _more_bits(place: Place) -> bool:
    """The first and last eighth of the layers, and every third between them."""
    eighth = place.count // 8
    return place.ordinal < eighth or place.ordinal >= 7 * place.count // 8 or (place.ordinal - eighth) % 3 == 2


def _grouped(place: Place) -> bool:
    return place.query_groups >= 4


def _first(share: int) -> str:
    return f"ffn_down of the first 1/{share} of the layers"


_MORE_BITS = "the first and last 1/8 of the layers and every third between get more bits"

#: Name -> mix, in the order in which they are listed.
MIXES: dict[str, Mix] = {
    mix.name: mix
    for mix in (
        Mix("F32", LlamaFileType.ALL_F32, "F32"),
        Mix("F16", LlamaFileType.MOSTLY_F16, "F16"),
        Mix("BF16", LlamaFileType.MOSTLY_BF16, "BF16"),
        Mix("Q8_0", LlamaFileType.MOSTLY_Q8_0, "Q8_0"),
        Mix(
            "Q4_K_M",
            LlamaFileType.MOSTLY_Q4_K_M,
            "Q4_K",
            (
                Rule(_VALUE, "Q6_K", f"attn_v: {_MORE_BITS}", _more_bits),
                Rule(_VALUE, "Q5_K", "attn_v of a 70B model, shared by 8 heads", lambda place: place.is_70b),
                Rule(_DOWN, "Q6_K", f"ffn_down: {_MORE_BITS}", _more_bits),
            ),
        ),
        Mix(
            "IQ4_XS",
            LlamaFileType.MOSTLY_IQ4_XS,
            "IQ4_XS",
            (
                Rule(_VALUE, "Q5_K", "attn_v shared by 4 heads or more", _grouped),
                Rule(_DOWN, "Q5_K", _first(8), lambda place: place.ordinal < place.count // 8),
            ),
        ),
        Mix(
            "Q3_K_M",
            LlamaFileType.MOSTLY_Q3_K_M,
            "Q3_K",
            (
                Rule(_VALUE, "Q5_K", "attn_v of the first two layers", lambda place: place.ordinal < 2),
                Rule(_VALUE, "Q5_K", "attn_v of a 70B model, shared by 8 heads", lambda place: place.is_70b),
                Rule(_VALUE, "Q4_K", "attn_v gets more bits"),
                Rule(_DOWN, "Q5_K", _first(16), lambda place: place.ordinal < place.count // 16),
                Rule(_DOWN, "Q4_K", "ffn_down gets more bits"),
                Rule(_ATTN_OUTPUT, "Q4_K", "attn_output gets more bits"),
            ),
        ),
        Mix(
            "Q2_K",
            LlamaFileType.MOSTLY_Q2_K,
            "Q2_K",
            (
                Rule(_VALUE, "Q5_K", "attn_v of a 70B model, shared by 8 heads", lambda place: place.is_70b),
                Rule(_VALUE, "Q4_K", "attn_v shared by 4 heads or more", _grouped),
                Rule(_VALUE, "Q3_K", "attn_v gets more bits"),
                Rule(_DOWN, "Q3_K", "ffn_down gets more bits"),
                Rule(_ATTN_OUTPUT, "Q3_K", "attn_output gets more bits"),
            ),
        ),
    )
}
