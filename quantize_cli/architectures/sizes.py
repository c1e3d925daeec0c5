"""The sizes in tensor shapes, as symbols: one table that finds each in config.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from quantize_cli.architectures.common import CONTEXT, EXPERTS, FFN, HEADS, HIDDEN, KV_HEADS
from quantize_cli.architectures.model import Model
from quantize_cli.errors import CheckpointError

#: A function that returns a symbol's size in a model, or None if the model does not have it.
Size: TypeAlias = Callable[["Sizes"], int | None]


class Sizes(Mapping[str, int | None]):
    """The symbols' values in one model: a table of functions, each of which may ask for other symbols.

    Attributes:
        table: The functions by symbol.

    Raises CheckpointError, on access, if config.json contradicts itself.
    """

    def __init__(self, model: Model, own: Mapping[str, Size]) -> None:
        """Merge a family's `own` entries over the common table."""
        self.model = model
        self.table = {**SIZES, **own}
        self._known: dict[str, int | None] = {}

    def __getitem__(self, symbol: str) -> int | None:
        """Return a size, or None if the model does not have it."""
        if symbol not in self._known:
            self._known[symbol] = self.table[symbol](self)
        return self._known[symbol]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the symbols."""
        return iter(self.table)

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self.table)

    def known(self, symbol: str) -> int:
        """Return a size that the model must have.

        Raises:
            CheckpointError: The size is missing in config.json.
        """
        if (size := self[symbol]) is None:
            row = self.table[symbol]
            names = " or ".join(row.names) if isinstance(row, Named) else f"the sizes that make {symbol!r}"
            raise CheckpointError(f"{self.model.config.where} lacks {names}, which the shapes depend on; add it.")
        return size


class Named:
    """The size that config.json gives under one of `names`, or `default` if it does not."""

    def __init__(self, *names: str, default: int | None = None) -> None:
        self.names = names
        self.default = default

    def __call__(self, sizes: Sizes) -> int | None:
        """Return the size, or None if config.json does not give it and there is no default."""
        size = sizes.model.config.integer(*self.names)
        return self.default if size is None else size


def or_default(symbol: str, default: int, *names: str) -> Size:
    """Return the size of the common table, or `default` if config.json does not give any of `names`."""
    return lambda sizes: default if sizes.model.config.get(*names) is None else SIZES[symbol](sizes)


def product(*symbols: str) -> Size:
    """Return the product of other sizes, or None if one is missing."""

    def size(sizes: Sizes) -> int | None:
        result = 1
        for symbol in symbols:
            if (factor := sizes[symbol]) is None:
                return None
            result *= factor
        return result

    return size


def total(*symbols: str) -> Size:
    """Return the sum of other sizes, or None if one is missing."""

    def size(sizes: Sizes) -> int | None:
        parts = [sizes[symbol] for symbol in symbols]
        return None if None in parts else sum(part for part in parts if part is not None)

    return size


def _kv_heads(sizes: Sizes) -> int | None:
    config, heads = sizes.model.config, sizes["heads"]
    kv_heads = config.integer(*KV_HEADS) or heads
    if heads is not None and kv_heads is not None and heads % kv_heads:
        raise CheckpointError(
            f"{config.where} gives {heads} attention heads, which cannot share {kv_heads} key-value heads evenly; "
            "correct num_attention_heads or num_key_value_heads."
        )
    return kv_heads


def head_size(model: Model) -> int | None:
    """Return the rows of one attention head: `head_dim`, or an even share of the hidden size.

    Raises:
        CheckpointError: The heads cannot share the hidden size evenly.
    """
    head, hidden, heads = model.config.integer("head_dim"), model.config.integer(*HIDDEN), model.config.integer(*HEADS)
    if head is not None or hidden is None or heads is None:
        return head
    if hidden % heads:
        raise CheckpointError(
            f"{model.config.where} gives hidden_size {hidden}, which is not a multiple of its {heads} attention heads; "
            "correct one of them, or set head_dim."
        )
    return hidden // heads


def even_share(model: Model) -> int:
    """Return the hidden size over the number of heads, whatever `head_dim` tells; rounded down, as in the reference."""
    return model.config.required("hidden_size") // model.config.required("num_attention_heads")


def rotated(default: float | None, *names: str) -> Callable[[Model], int | None]:
    """Return a function to the number of a head's rows that rope rotates: a share of them, or None if it is not known.

    Args:
        default: The share where config.json does not give it; None if it must.
        names: Names of the share in config.json, before rope's `partial_rotary_factor`.
    """

    def rows(model: Model) -> int | None:
        share = (model.config.number(*names) if names else None) or model.rope.number("partial_rotary_factor")
        head, share = head_size(model), default if share is None else share
        return None if head is None or share is None else int(head * share)

    return rows


def _rotated_head(sizes: Sizes) -> int | None:
    head = head_size(sizes.model)
    if head is not None and head % 2:
        raise CheckpointError(
            f"{sizes.model.config.where} makes an attention head {head} wide, but rotary embedding needs an even "
            "number; correct head_dim, or the sizes that it follows from."
        )
    return head


#: Symbol -> its size.
SIZES: Mapping[str, Size] = {
    "vocab": Named("vocab_size"),
    "context": Named(*CONTEXT),
    "hidden": Named(*HIDDEN),
    "ffn": Named(*FFN),
    "heads": Named(*HEADS),
    "kv_heads": _kv_heads,
    "head": _rotated_head,
    "query": product("heads", "head"),
    "key": product("kv_heads", "head"),
    "value": product("kv_heads", "head"),
    "attention": product("heads", "head"),  # columns of the attention's output projection
    "experts": Named(*EXPERTS),
    "expert_ffn": Named("moe_intermediate_size", *FFN),
    "shared_ffn": Named("shared_expert_intermediate_size"),
    "one": lambda _sizes: 1,
    "two_hidden": lambda sizes: None if sizes["hidden"] is None else 2 * sizes["hidden"],
}
