"""Where the blocks of a model have the foldings that its family allows; see `foldings`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.foldings import ATTENTION, FFN, Folding, Part
from quantize_cli.gguf_file.fields import Field

Shape = tuple[int, ...]


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

#: Architecture -> its families' foldings.
FOLDINGS: Mapping[str, tuple[Folding, ...]] = {
    family.architecture: family.foldings for family in FAMILIES.values() if family.foldings
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
        elsewhere.update(ATTENTION, FFN)
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
