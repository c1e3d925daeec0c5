"""Gradients at both ends of a model: behind its last block, where labels are drawn, and before its first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.products import Product, Watch
from quantize_cli.calibrate.vocabulary_costs import EmbeddingCosts, OutputCosts


def from_labels(
    passage: Passage, outside: Mapping[str, Tensor], hidden: Tensor, generator: torch.Generator, costs: OutputCosts
) -> Tensor:
    """Draw a label for each position of a sequence, and return the gradient of the sum of -ln p(label).

    Args:
        passage: The model.
        outside: The parameters outside the blocks.
        hidden: What the last block has made of a sequence, [context, hidden].
        generator: Draws the labels.
        costs: Receives the gradients at the outputs of the last matrix.
    """
    products: list[Product] = []
    with torch.enable_grad(), Watch(outside, products.append):
        start = hidden.detach().requires_grad_()
        logits = passage.logits(start)
    outputs = products[-1].outputs
    outputs.retain_grad()
    chances = logits.detach().softmax(-1).cpu()
    labels = torch.multinomial(chances, 1, generator=generator)[:, 0].to(logits.device)
    torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
    assert outputs.grad is not None
    assert start.grad is not None
    costs.add(products[-1].inputs, outputs.grad.reshape(len(hidden), -1))
    return start.grad


def to_embedding(passage: Passage, tokens: Tensor, gradient: Tensor, costs: EmbeddingCosts) -> None:
    """Count the gradients of the embedding's rows of a sequence.

    Args:
        passage: The model.
        tokens: int64[context].
        gradient: At what the first block gets, [context, hidden].
        costs: Receives the gradients.
    """
    lookup = _Lookup(tokens)
    with torch.enable_grad(), lookup:
        first = passage.embed(tokens[None])
    if lookup.rows is not None and first.requires_grad:
        first.backward(gradient[None])
        assert lookup.rows.grad is not None
        costs.add(tokens, lookup.rows.grad.reshape(len(tokens), -1))


class _Lookup(TorchFunctionMode):
    """Makes the rows that are looked up for `tokens` the start of the graph; the embedding needs no gradient then."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self._tokens = tokens
        self.rows: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function."""
        made = func(*args, **(kwargs or {}))
        if func is torch.nn.functional.embedding and args[0].numel() == self._tokens.numel() and self.rows is None:
            made = self.rows = made.detach().requires_grad_()
        return made
