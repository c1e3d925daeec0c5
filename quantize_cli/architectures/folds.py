"""Foldings: where a factor for each channel can move from what makes the channel to the matrices that read it.

A norm, the values of attention or the gated products of a feed-forward network make channels that only certain matrices
read. If row i of the maker is divided by a factor, and the readers' columns of that channel are multiplied by it, the
model computes what it did. AWQ (arXiv 2306.00978) uses that to round salient channels finer. The names are those of
GGUF, without "blk.N." and suffix.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize_cli.gguf_file.fields import Field

Shape = tuple[int, ...]


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


@dataclass(frozen=True, slots=True)
class Fold:
    """One folding of one block: `size` factors, each of which divides one row and multiplies some columns.

    Factor i belongs to row `first + i` of what is divided, which are its last rows; a vector's elements are its rows.
    """

    block: int
    maker: str  #: "attn_norm"
    divided: tuple[str, ...]  #: GGUF names, the weight's first
    multiplied: tuple[str, ...]  #: GGUF names of matrices
    size: int
    first: int  #: rows of what is divided that stay as they are
    experts: int  #: matrices of a stack that have factors of their own; 1 if all share them
    columns: int  #: of each matrix
    groups: int  #: heads of keys and values: query heads of a group share factors

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The number of the factor of each column, int64[experts, columns]."""
        factors = np.arange(self.size, dtype=np.int64).reshape(self.groups, 1, -1)
        times = self.experts * self.columns // self.size
        return np.repeat(factors, times, axis=1).reshape(self.experts, self.columns)


_ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_gate")
_LINEAR_ATTENTION = (*_ATTENTION, "ssm_alpha", "ssm_beta", "ssm_ba")
_LATENT_ATTENTION = ("attn_q", "attn_q_a", "attn_kv_a_mqa", "indexer.attn_k", "indexer.proj")
_DELTA_ATTENTION = (*_ATTENTION, *_LATENT_ATTENTION[1:3], "ssm_beta", "ssm_f_a", "ssm_g_a")
_FFN = (
    *("ffn_gate", "ffn_up"),
    *("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps"),
    *("ffn_gate_shexp", "ffn_up_shexp", "ffn_gate_inp_shexp"),
)
#: Norms of something else than the input of attention or of a feed-forward network.
_OTHER_NORMS = frozenset(
    {
        *("attn_q_norm", "attn_k_norm", "attn_q_a_norm", "attn_kv_a_norm", "indexer.k_norm"),
        *("post_attention_norm", "post_ffw_norm", "ssm_norm", "ssm_dt_norm", "ssm_b_norm", "ssm_c_norm"),
    }
)
#: Matrices that never read what a norm before attention or a feed-forward network makes.
_BEHIND = frozenset(
    {
        *("attn_output", "attn_q_b", "attn_k_b", "attn_v_b", "attn_kv_b", "indexer.attn_q_b"),
        *("ffn_down", "ffn_down_exps", "ffn_down_shexp"),
        *("ssm_a", "ssm_conv1d", "ssm_conv1d_k", "ssm_conv1d_q", "ssm_conv1d_v", "ssm_d", "ssm_dt", "ssm_f_b"),
        *("ssm_g_b", "ssm_out", "ssm_x", "shortconv.conv", "shortconv.out_proj"),
    }
)

_ATTENTION_NORM = Folding("attn_norm", _ATTENTION)
_FFN_NORM = Folding("ffn_norm", _FFN)
#: The norm before the feed-forward network, in families that name it by its place.
_NORM_BEHIND_ATTENTION = Folding("post_attention_norm", _FFN)
#: Attention and feed-forward network side by side, behind one norm.
_ONE_NORM = Folding("attn_norm", (*_ATTENTION, *_FFN))
_VALUES = Folding("attn_v", ("attn_output",))
_FUSED_VALUES = Folding("attn_qkv", ("attn_output",), Part.VALUES)
_LATENT_VALUES = Folding("attn_v_b", ("attn_output",))
_FUSED_UP = Folding("ffn_up", ("ffn_down",), Part.SECOND_HALF)
_EXPERTS_UP = (
    Folding("ffn_up_exps", ("ffn_down_exps",), gate="ffn_gate_exps"),
    Folding("ffn_up_shexp", ("ffn_down_shexp",), gate="ffn_gate_shexp"),
)
_UP = (Folding("ffn_up", ("ffn_down",), gate="ffn_gate"), *_EXPERTS_UP)

_NORMS = (_ATTENTION_NORM, _FFN_NORM)
_USUAL = (*_NORMS, _VALUES, *_UP)
_WITHOUT_GATE = (*_NORMS, _VALUES)
_FUSED = (*_NORMS, _FUSED_VALUES)
_PARALLEL = (_ONE_NORM, _VALUES, *_UP)
_POST_NORMS = (_VALUES, *_UP)
_NAMED_BY_PLACE = (_ATTENTION_NORM, _NORM_BEHIND_ATTENTION, _VALUES, *_UP)
_LINEAR = (Folding("attn_norm", _LINEAR_ATTENTION), _NORM_BEHIND_ATTENTION, _VALUES, *_UP)
_LATENT = (
    Folding("attn_norm", _LATENT_ATTENTION),
    Folding("attn_q_a_norm", ("attn_q_b", "indexer.attn_q_b")),
    _FFN_NORM,
    _LATENT_VALUES,
    *_UP,
)

#: Architecture -> its foldings; one that is not here has none. All have been checked with random factors on a small
#: model (tests/calibrate/test_folding.py). Values that are clamped (`clip_qkv`) or normed (Gemma 4), and products whose
#: factors are clamped (`swiglu_limit`), cannot be folded.
FOLDINGS: Mapping[str, tuple[Folding, ...]] = {
    "llama": _USUAL,
    "qwen2": _USUAL,
    "qwen2moe": _USUAL,
    "qwen3": _USUAL,
    "qwen3moe": _USUAL,
    "mistral3": _USUAL,
    "gemma": _USUAL,
    "gemma2": _USUAL,
    "gemma3": _USUAL,
    "gemma4": (*_NORMS, *_UP),
    "exaone": _USUAL,
    "exaone-moe": _USUAL,
    "ernie4_5": _USUAL,
    "ernie4_5-moe": _USUAL,
    "dots1": _USUAL,
    "mellum": _USUAL,
    "afmoe": _USUAL,
    "hy_v3": _USUAL,
    "hunyuan-dense": _USUAL,
    "granite": _USUAL,
    "granitemoe": _USUAL,
    "smollm3": _USUAL,
    "minimax-m2": _USUAL,
    "llama4": _USUAL,
    "stablelm": _USUAL,
    "lfm2": (Folding("attn_norm", (*_ATTENTION, "shortconv.in_proj")), _FFN_NORM, _VALUES, *_UP),
    "lfm2moe": (Folding("attn_norm", (*_ATTENTION, "shortconv.in_proj")), _FFN_NORM, _VALUES, *_UP),
    "falcon-h1": (Folding("attn_norm", (*_ATTENTION, "ssm_in")), _FFN_NORM, _VALUES, *_UP),
    "granitehybrid": (Folding("attn_norm", (*_ATTENTION, "ssm_in")), _FFN_NORM, _VALUES, *_UP),
    "nemotron_h": (Folding("attn_norm", (*_ATTENTION, *_FFN, "ssm_in")), _VALUES),
    "mamba": (Folding("attn_norm", ("ssm_in",)),),
    "mamba2": (Folding("attn_norm", ("ssm_in",)),),
    "arcee": _WITHOUT_GATE,
    "apertus": _WITHOUT_GATE,
    "nemotron": _WITHOUT_GATE,
    "jais2": _WITHOUT_GATE,
    "starcoder2": _WITHOUT_GATE,
    "starcoder": _FUSED,
    "gpt2": _FUSED,
    "gptneox": _FUSED,
    "phi2": (_ONE_NORM, _VALUES),
    "falcon": (_ONE_NORM, _FUSED_VALUES),
    "phi3": (*_FUSED, _FUSED_UP),
    "chatglm": (*_WITHOUT_GATE, _FUSED_UP),
    "glm4": (*_WITHOUT_GATE, _FUSED_UP),
    "glm4moe": _NAMED_BY_PLACE,
    "seed_oss": _NAMED_BY_PLACE,
    "command-r": _PARALLEL,
    "cohere2": _PARALLEL,
    "olmo": _UP,
    "olmoe": (*_NORMS, *_UP),
    "olmo2": _POST_NORMS,
    "exaone4": _POST_NORMS,
    "qwen3next": _LINEAR,
    "qwen35": _LINEAR,
    "qwen35moe": _LINEAR,
    "deepseek2": _LATENT,
    "deepseek32": _LATENT,
    "minicpm3": (*_LATENT, Folding("attn_kv_a_norm", ("attn_kv_b",))),
    "kimi-linear": (Folding("attn_norm", _DELTA_ATTENTION), _FFN_NORM, _LATENT_VALUES, *_UP),
}


def folds_of(metadata: Iterable[Field], shapes: Mapping[str, Shape]) -> tuple[Fold, ...]:
    """Find the foldings of a model, block by block.

    A folding is left out of a block that has a matrix whose input is not known, or tensors of other shapes.

    Args:
        metadata: The fields of the model's GGUF file: its architecture and its numbers of heads.
        shapes: GGUF name -> row-major shape, of all tensors.
    """
    values = {field.key: field.value for field in metadata}
    architecture = values["general.architecture"]
    blocks: dict[int, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        kind, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        if kind == "blk":
            blocks.setdefault(int(number), {})[inner] = shape
    foldings = FOLDINGS.get(architecture, ())
    return tuple(
        fold
        for number, block in sorted(blocks.items())
        for folding in foldings
        if _inputs_are_known(folding, block, foldings)
        and (fold := _fold(folding, number, block, _heads(values, architecture, number))) is not None
    )


def _heads(values: Mapping[str, Any], architecture: str, block: int) -> tuple[int, int]:
    """Return the query heads of a block and its heads of keys and values; 0 if they are not told."""
    heads = _of_block(values.get(f"{architecture}.attention.head_count"), block)
    return heads, _of_block(values.get(f"{architecture}.attention.head_count_kv"), block) or heads


def _of_block(value: Any, block: int) -> int:
    if value is None or isinstance(value, int):
        return value or 0
    return int(value[block]) if block < len(value) else 0


def _inputs_are_known(folding: Folding, block: Mapping[str, Shape], foldings: Iterable[Folding]) -> bool:
    """Tell whether every matrix of a block that is not among a folding's readers reads something else for sure."""
    weights = {name.removesuffix(".weight"): shape for name, shape in block.items() if not name.endswith(".bias")}
    makers = [held for held in foldings if held.maker in weights]
    norms = {name for name in weights if "norm" in name}
    elsewhere = {name for held in makers for name in held.readers}
    if folding.maker not in norms:
        elsewhere.update(_ATTENTION, _FFN)
    matrices = {name for name, shape in weights.items() if len(shape) > 1}
    return norms <= {held.maker for held in makers} | _OTHER_NORMS and matrices - norms <= elsewhere | _BEHIND


def _fold(folding: Folding, number: int, block: Mapping[str, Shape], heads: tuple[int, int]) -> Fold | None:
    """Return a folding of one block, or None if its tensors are not there or do not fit."""
    readers = [name for name in folding.readers if f"{name}.weight" in block]
    weight, bias = _weight(block, folding.maker), f"{folding.maker}.bias"
    if weight is None or not readers or any(_has_companions(block, name) for name in (folding.maker, *readers)):
        return None
    if folding.gate is not None and f"{folding.gate}.weight" not in block:
        return None
    inputs = {block[f"{name}.weight"] for name in readers}
    columns = next(iter(inputs))[-1]
    rows = math.prod(block[weight][:-1]) if len(block[weight]) > 1 else block[weight][0]
    size, experts, groups = _channels(folding, block[weight], columns, heads)
    fits = (
        all(shape[-1] == columns and len(shape) > 1 for shape in inputs)
        and block.get(bias, (rows,)) == (rows,)
        and all(shape[:-2] == (experts,) for shape in inputs if experts > 1)
        and size > 0
        and _are_all_rows(folding.part, rows, size, heads)
        and experts * columns % size == 0
    )
    if not fits:
        return None
    return Fold(
        block=number,
        maker=folding.maker,
        divided=tuple(f"blk.{number}.{name}" for name in (weight, bias) if name in block),
        multiplied=tuple(f"blk.{number}.{name}.weight" for name in readers),
        size=size,
        first=rows - size,
        experts=experts,
        columns=columns,
        groups=groups,
    )


def _weight(block: Mapping[str, Shape], name: str) -> str | None:
    """Return what a block calls a weight: some names do not have a suffix."""
    return next((held for held in (f"{name}.weight", name) if held in block), None)


def _has_companions(block: Mapping[str, Shape], name: str) -> bool:
    """Tell whether a weight has more beside it than a bias, such as scales."""
    return any(held.startswith(f"{name}.") and held[len(name) :] not in (".weight", ".bias") for held in block)


def _channels(folding: Folding, maker: Shape, columns: int, heads: tuple[int, int]) -> tuple[int, int, int]:
    """Return how many channels there are, of how many experts, and how many groups of heads share them."""
    if folding.part is Part.SECOND_HALF or len(maker) == 1:
        return columns, 1, 1
    rows = math.prod(maker[:-1])
    if folding.part is Part.WHOLE and rows == columns:
        return columns, 1, 1
    if len(maker) > 2:
        return rows if maker[1:-1] == (columns,) else 0, maker[0], 1
    query_heads, value_heads = heads
    if not query_heads or columns % query_heads or query_heads % value_heads:
        return 0, 1, 1
    return columns // query_heads * value_heads, 1, value_heads


def _are_all_rows(part: Part, rows: int, size: int, heads: tuple[int, int]) -> bool:
    """Tell whether a maker of this many rows has as many channels as the readers want."""
    if part is Part.SECOND_HALF:
        return rows == 2 * size
    if part is Part.VALUES:
        return rows * heads[1] == size * (heads[0] + 2 * heads[1])
    return rows == size
