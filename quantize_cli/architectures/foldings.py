"""Foldings that families allow: what makes a channel, and the matrices that read it.

A norm, the values of attention or the gated products of a feed-forward network make channels that only certain matrices
read. If row i of the maker is divided by a factor, and the readers' columns of that channel are multiplied by it, the
model computes what it did. AWQ (arXiv 2306.00978) uses that to round salient channels finer. The names are those of
GGUF, without "blk.N." and suffix.

Values that are clamped (`clip_qkv`) or normed (Gemma 4) cannot be folded, nor products whose factors are clamped
(`swiglu_limit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """The rows of a tensor that make channels, beside which it may have others."""

    WHOLE = "whole"
    VALUES = "values"  #: the last rows of queries, keys and values in one matrix
    SECOND_HALF = "second half"  #: behind those of the gate


@dataclass(frozen=True, slots=True)
class Folding:
    """A folding that a family allows, in every block that has its tensors."""

    maker: str  #: a norm, or a matrix; its bias is divided too
    readers: tuple[str, ...]  #: all matrices that may read the channels, of which a block has some
    part: Part = Part.WHOLE
    gate: str | None = None  #: the matrix without which there is something between maker and readers that is not linear


#: Matrices that read the norm before attention.
ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_gate")
LINEAR_ATTENTION = (*ATTENTION, "ssm_alpha", "ssm_beta", "ssm_ba")
LATENT_ATTENTION = ("attn_q", "attn_q_a", "attn_kv_a_mqa", "indexer.attn_k", "indexer.proj")
DELTA_ATTENTION = (*ATTENTION, *LATENT_ATTENTION[1:3], "ssm_beta", "ssm_f_a", "ssm_g_a")
#: Matrices that read the norm before the feed-forward network.
FFN = (
    *("ffn_gate", "ffn_up"),
    *("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps"),
    *("ffn_gate_shexp", "ffn_up_shexp", "ffn_gate_inp_shexp"),
)

ATTENTION_NORM = Folding("attn_norm", ATTENTION)
FFN_NORM = Folding("ffn_norm", FFN)
#: The norm before the feed-forward network, in families that name it by its place.
NORM_BEHIND_ATTENTION = Folding("post_attention_norm", FFN)
#: Attention and feed-forward network side by side, behind one norm.
ONE_NORM = Folding("attn_norm", (*ATTENTION, *FFN))
VALUES = Folding("attn_v", ("attn_output",))
FUSED_VALUES = Folding("attn_qkv", ("attn_output",), Part.VALUES)
LATENT_VALUES = Folding("attn_v_b", ("attn_output",))
FUSED_UP = Folding("ffn_up", ("ffn_down",), Part.SECOND_HALF)
EXPERTS_UP = (
    Folding("ffn_up_exps", ("ffn_down_exps",), gate="ffn_gate_exps"),
    Folding("ffn_up_shexp", ("ffn_down_shexp",), gate="ffn_gate_shexp"),
)
UP = (Folding("ffn_up", ("ffn_down",), gate="ffn_gate"), *EXPERTS_UP)

NORMS = (ATTENTION_NORM, FFN_NORM)
USUAL = (*NORMS, VALUES, *UP)
WITHOUT_GATE = (*NORMS, VALUES)
FUSED = (*NORMS, FUSED_VALUES)
PARALLEL = (ONE_NORM, VALUES, *UP)
POST_NORMS = (VALUES, *UP)
NAMED_BY_PLACE = (ATTENTION_NORM, NORM_BEHIND_ATTENTION, VALUES, *UP)
LINEAR = (Folding("attn_norm", LINEAR_ATTENTION), NORM_BEHIND_ATTENTION, VALUES, *UP)
LATENT = (
    Folding("attn_norm", LATENT_ATTENTION),
    Folding("attn_q_a_norm", ("attn_q_b", "indexer.attn_q_b")),
    FFN_NORM,
    LATENT_VALUES,
    *UP,
)
