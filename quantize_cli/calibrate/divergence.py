"""The divergence of quantized models from their original, token by token.

As in llama-perplexity, the second half of each sequence is scored: positions context/2 .. context-2, each of which
predicts the token behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.forward import embedded, outside, through_block
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.weights import Weights

#: Called with the number of blocks that are done, and how many there are, for all models together.
Tell = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """What is measured of each scored token, all arrays [sequences, scored tokens of a sequence]."""

    kld: NDArray[np.float64]  #: sum over the vocabulary of p ln(p / q), in nats; p is the original's
    same_top: NDArray[np.bool_]
    nll: NDArray[np.float64]  #: -ln q of the token that follows
    original_nll: NDArray[np.float64]


def scored(context: int) -> slice:
    """Return the positions of a sequence that are scored."""
    return slice(context // 2, context - 1)


@torch.no_grad()
def scores(
    skeleton: Skeleton, original: Weights, quantized: Sequence[Weights], tokens: Tensor, tell: Tell
) -> list[Scores]:
    """Compare models on tokens int64[sequences, context]; each block of the original is read once.

    Raises:
        CheckpointError: Weights cannot be read.
        UnsupportedError: The engine cannot run the model.
    """
    models = [original, *quantized]
    heads, states = [], []
    for weights in models:
        heads.append(outside(skeleton, weights))
        passage = Passage(skeleton, tokens.shape[1])
        states.append(embedded(passage, tokens))
    for number in range(len(skeleton)):
        for done, (weights, hidden) in enumerate(zip(models, states, strict=True), number * len(models)):
            through_block(skeleton, passage, number, weights, hidden)
            tell(done + 1, len(skeleton) * len(models))
    found: list[list[tuple[Tensor, ...]]] = [[] for _ in quantized]
    for number, sequence in enumerate(tokens):
        following = sequence[1:][scored(tokens.shape[1])]
        logits = []
        for head, hidden in zip(heads, states, strict=True):
            skeleton.place(head)
            logits.append(passage.logits(hidden[number, scored(tokens.shape[1])]).log_softmax(-1))
        for place, other in zip(found, logits[1:], strict=True):
            place.append(_compared(logits[0], other, following))
    return [Scores(*(torch.stack(column).cpu().numpy() for column in zip(*rows, strict=True))) for rows in found]


def _compared(first: Tensor, second: Tensor, following: Tensor) -> tuple[Tensor, ...]:
    """Compare logarithms of probabilities, float32[n, vocabulary]."""
    kld = (first.exp() * (first - second)).sum(-1, dtype=torch.float64)
    same = first.argmax(-1) == second.argmax(-1)
    nll, original_nll = (-held.gather(-1, following[:, None])[:, 0].double() for held in (second, first))
    return kld, same, nll, original_nll
