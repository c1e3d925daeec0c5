"""The way of hidden states through a model: into the first block, from block to block, and out of the last one.

A model's own code does what happens before and behind the blocks. While it does, each block is replaced by a function
that notes its arguments and hands a hidden state on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from quantize_cli.calibrate.skeleton import WAY_OUT, Skeleton
from quantize_cli.errors import UnsupportedError

#: Arguments of a block behind the hidden state.
_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class _Stop(Exception):  # noqa: N818  it is not an error
    """The end of a call at the first block."""

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden


class Passage:
    """The calls of one model for sequences of one length; OUTSIDE must be loaded.

    Args:
        skeleton: The model.
        context: Tokens of a sequence.

    Raises:
        UnsupportedError: A block needs more than a hidden state and what the positions give.
    """

    def __init__(self, skeleton: Skeleton, context: int) -> None:
        self._skeleton = skeleton
        ids = torch.arange(context, device=skeleton.settings.device) % skeleton.model.config.vocab_size
        self._tuples = True
        self._tuples = self._takes_tuples(ids[None])
        self._arguments = self._noted(ids[None])
        other = self._noted(ids.flip(0)[None])
        if not _same(self._arguments, other):
            raise UnsupportedError(
                f"The blocks of {type(skeleton.model).__name__} depend on the tokens, not on the hidden state alone, "
                f"which the engine cannot do; {WAY_OUT}."
            )

    def embed(self, tokens: Tensor) -> Tensor:
        """Return what the first block gets, [sequences, context, hidden], of tokens int64[sequences, context]."""

        def stop(_number: int, hidden: Tensor) -> Tensor:
            raise _Stop(hidden)

        try:
            self._call(tokens, stop)
        except _Stop as end:
            return end.hidden
        raise AssertionError("the first block was not called")

    def block(self, number: int, hidden: Tensor) -> Tensor:
        """Return what a block, which must be loaded, makes of a hidden state [sequences, context, hidden]."""
        positional, named = self._arguments[number]
        made = self._skeleton.blocks[number](hidden, *positional, **named)
        return made[0] if isinstance(made, tuple) else made

    def logits(self, hidden: Tensor) -> Tensor:
        """Return float32[n, vocabulary] of hidden states behind the last block, [n, hidden]."""
        last = len(self._skeleton) - 1
        tokens = torch.zeros(1, len(hidden), dtype=torch.int64, device=hidden.device)
        found = self._call(tokens, lambda number, passed: hidden[None] if number == last else passed)
        return found[0].float()  # type: ignore[no-any-return]

    def _takes_tuples(self, tokens: Tensor) -> bool:
        """Tell whether the model takes the hidden state out of a tuple, which some blocks return and most do not."""
        try:
            self._noted(tokens)
        except (AttributeError, TypeError, RuntimeError):
            return False
        return True

    def _noted(self, tokens: Tensor) -> list[_Arguments]:
        """Return each block's arguments."""
        found: list[_Arguments] = []
        with torch.no_grad():
            self._call(tokens, lambda _number, hidden: hidden, found)
        return found

    def _call(
        self, tokens: Tensor, answer: Callable[[int, Tensor], Tensor], notes: list[_Arguments] | None = None
    ) -> Tensor:
        """Call the model, with `answer(number, hidden)` for each block; return logits."""

        def stub(number: int) -> Callable[..., Any]:
            def forward(*positional: Any, **named: Any) -> Any:
                hidden = positional[0] if positional else named.pop("hidden_states")
                if not isinstance(hidden, Tensor):
                    raise TypeError("a block has got what another one returned, as it was")
                if notes is not None:
                    notes.append((positional[1:], dict(named)))
                made = answer(number, hidden)
                return (made,) if self._tuples else made

            return forward

        with _replaced(self._skeleton, stub):
            return self._skeleton.model(tokens, use_cache=False).logits  # type: ignore[no-any-return]


@contextmanager
def _replaced(skeleton: Skeleton, stub: Callable[[int], Callable[..., Any]]) -> Iterator[None]:
    """Let stubs stand in for the blocks."""
    for number, block in enumerate(skeleton.blocks):
        block.forward = stub(number)
    try:
        yield
    finally:
        for block in skeleton.blocks:
            del block.forward


def _same(first: Any, second: Any) -> bool:
    """Tell whether two values are equal, tensors and what holds them included."""
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(held, second[key]) for key, held in first.items())
    return first is second or bool(first == second)
