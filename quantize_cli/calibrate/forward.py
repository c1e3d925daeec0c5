"""The stream through a model: every sequence through one block before the next block is loaded."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.weights import Weights

#: Tokens that a block works on at once.
BATCH_TOKENS = 2048


def batches(tokens: Tensor, border: int = 0) -> Iterator[slice]:
    """Yield sequences that are computed together, of tokens or hidden states [sequences, context, ...].

    Those from number `border` on are not computed with those before it.
    """
    step = max(1, BATCH_TOKENS // tokens.shape[1])
    for begin, end in ((0, border), (border, len(tokens))):
        for start in range(begin, end, step):
            yield slice(start, min(start + step, end))


@torch.no_grad()
def embedded(passage: Passage, tokens: Tensor) -> Tensor:
    """Return what the first block gets, [sequences, context, hidden]."""
    return torch.cat([passage.embed(tokens[some]) for some in batches(tokens)])


@torch.no_grad()
def through_block(skeleton: Skeleton, passage: Passage, number: int, weights: Weights, hidden: Tensor) -> None:
    """Replace hidden states [sequences, context, hidden] by what a block makes of them."""
    skeleton.load(number, weights)
    for some in batches(hidden):
        hidden[some] = passage.block(number, hidden[some])
    skeleton.unload(number)


def outside(skeleton: Skeleton, weights: Weights) -> dict[str, Tensor]:
    """Load what is not in any block, and return it, so that it can be placed again."""
    skeleton.load(OUTSIDE, weights)
    return {name: parameter.detach() for name, parameter in skeleton.parameters(OUTSIDE).items()}
