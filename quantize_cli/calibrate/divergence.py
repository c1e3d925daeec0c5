"""The divergence of quantized models from their original, token by token.

As in llama-perplexity, the second half of each sequence is scored: positions context/2 .. context-2, each of which
predicts the token behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.forward import embedded, outside, through_block
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.calibrate.weights import Weights
from quantize_cli.methods.needs import HEADS_BYTES

#: Called with what is being done, how much of it is done, and how much there is.
Tell = Callable[[str, int, int], None]


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
    states = []
    for weights in models:
        head = outside(skeleton, weights)
        passage = Passage(skeleton, tokens.shape[1])
        states.append(embedded(passage, tokens))
    steps = len(skeleton) * len(models)
    tell("blocks", 0, steps)
    for number in range(len(skeleton)):
        for done, (weights, hidden) in enumerate(zip(models, states, strict=True), number * len(models)):
            through_block(skeleton, passage, number, weights, hidden)
            tell("blocks", done + 1, steps)
    together = max(1, HEADS_BYTES // sum(held.nbytes for held in head.values()) - 1)
    first = head = outside(skeleton, original)
    found: list[Scores] = []
    for start in range(0, len(quantized), together):
        some = slice(1 + start, 1 + start + together)
        heads = [first, *(outside(skeleton, weights) for weights in models[some])]
        begun = partial(_tell_part, tell, start, len(quantized), len(heads) - 1)
        found += _scored(skeleton, passage, heads, [states[0], *states[some]], tokens, begun)
        del heads  # each may be as large as the vocabulary
        skeleton.place(first)
    return found


def _tell_part(tell: Tell, start: int, files: int, some: int, done: int, sequences: int) -> None:
    """Tell of `done` sequences of some files, when `start` files are done already."""
    tell("scores", start * sequences + some * done, files * sequences)


def _scored(
    skeleton: Skeleton,
    passage: Passage,
    heads: Sequence[Mapping[str, Tensor]],
    states: Sequence[Tensor],
    tokens: Tensor,
    tell: Callable[[int, int], None],
) -> list[Scores]:
    """Compare what models predict, the first of which is the original, by what they have outside of the blocks."""
    found: list[list[tuple[Tensor, ...]]] = [[] for _ in heads[1:]]
    tell(0, len(tokens))
    for number, sequence in enumerate(tokens):
        following = sequence[1:][scored(tokens.shape[1])]
        predicted = _predictions(skeleton, passage, heads, [hidden[number] for hidden in states])
        first = next(predicted)
        for place, other in zip(found, predicted, strict=True):
            place.append(_compared(first, other, following))
        tell(number + 1, len(tokens))
    return [Scores(*(torch.stack(column).cpu().numpy() for column in zip(*rows, strict=True))) for rows in found]


def _predictions(
    skeleton: Skeleton, passage: Passage, heads: Sequence[Mapping[str, Tensor]], states: Sequence[Tensor]
) -> Iterator[Tensor]:
    """Yield what each model predicts of a sequence: logarithms of probabilities, float32[scored, vocabulary]."""
    for head, hidden in zip(heads, states, strict=True):
        skeleton.place(head)
        yield passage.logits(hidden[scored(len(hidden))]).log_softmax(-1)


def _compared(first: Tensor, second: Tensor, following: Tensor) -> tuple[Tensor, ...]:
    """Compare logarithms of probabilities, float32[n, vocabulary]."""
    kld = (first.exp() * (first - second)).sum(-1, dtype=torch.float64)
    same = first.argmax(-1) == second.argmax(-1)
    nll, original_nll = (-held.gather(-1, following[:, None])[:, 0].double() for held in (second, first))
    return kld, same, nll, original_nll
