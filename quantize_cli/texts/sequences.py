"""From documents to sequences of tokens, as llama-perplexity and llama-imatrix cut them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.errors import CheckpointError, UsageError, shown
from quantize_cli.texts.encoder import Encoder
from quantize_cli.texts.model import Document, Sequences, TextRecord

#: The share of a kind's tokens that may stand for what the tokenizer does not know.
MOST_UNKNOWN = 0.01
#: The fewest sequences, as for llama.cpp's tools.
_FEWEST = 2


@dataclass(frozen=True, eq=False, slots=True)
class _Kind:
    name: str
    documents: tuple[Document, ...]
    rows: NDArray[np.int32]  #: int32[sequences, context]
    tokens: int  #: of all its texts
    unknown: float  #: share of the tokens

    def some(self, count: int) -> NDArray[np.int32]:
        """Return `count` sequences: the first ones of one text, as llama.cpp's tools take them; else spread evenly."""
        step = 1.0 if len(self.documents) == 1 else len(self.rows) / count
        return self.rows[(np.arange(count) * step).astype(np.int64)]


def sequences(
    documents: Sequence[Document], encoder: Encoder, context: int, tokens: int | None = None, *, every_kind: bool = True
) -> Sequences:
    """Make sequences of `context` tokens of documents.

    The tokens of all documents of a kind are one stream, which is cut into sequences; what is left over at the end is
    not used. If the encoder has a BOS, the stream begins with it, and it takes the place of the first token of each
    sequence (llama.cpp, tools/perplexity/perplexity.cpp). So the sequences of a single file are llama-perplexity's.

    Args:
        documents: The documents; the kinds keep the order in which they first appear.
        encoder: What makes tokens of them.
        context: Tokens of a sequence.
        tokens: The most tokens; None means all. Kinds get equal shares of it, as far as their texts reach.
        every_kind: Whether a kind without enough text, or with too many unknown tokens, is an error; otherwise it is
            left out, and does not have a record.

    Raises:
        CheckpointError: The texts are too short, or the tokenizer does not know what is in them.
        UsageError: `context` or `tokens` is too small.
        QuantizeError: The documents cannot be encoded; see `ModelEncoder.encode`.
    """
    if context < 2:
        raise UsageError(f"A sequence of {context} tokens does not predict anything; take a context of at least 2.")
    kinds = _kinds(documents, encoder, context)
    if every_kind:
        for kind in kinds:
            _check(kind, context, needed=_FEWEST if len(kinds) == 1 else 1)
    else:
        kinds = [kind for kind in kinds if len(kind.rows) and kind.unknown <= MOST_UNKNOWN]
    available = [len(kind.rows) for kind in kinds]
    if sum(available) < _FEWEST:
        raise CheckpointError(
            f"The texts have enough tokens for {sum(available)} sequence{'s' * (sum(available) != 1)} of {context:,}, "
            f"but {_FEWEST} are needed; give longer texts or a smaller context."
        )
    wanted = sum(available) if tokens is None else tokens // context
    fewest = max(_FEWEST, len(kinds) if every_kind else 0)
    if wanted < fewest:
        raise UsageError(
            f"{tokens:,} tokens are {wanted} sequence{'s' * (wanted != 1)} of {context:,}, but {fewest} are needed; "
            f"ask for at least {fewest * context:,} tokens."
        )
    shares = _shares(available, wanted)
    chosen = [(kind, kind.some(shares[i])) for i, kind in enumerate(kinds) if shares[i]]
    return Sequences(
        np.concatenate([rows for _, rows in chosen]),
        tuple(kind.name for kind, rows in chosen for _ in rows),
        tuple(_record(kind, rows) for kind, rows in chosen),
    )


def behind(more: Sequences, fewer: Sequences) -> Sequences:
    """Return what `more` sequences of some texts have behind those that `fewer` have of each kind.

    Both begin with the same sequences of each kind, as they do where a kind is a single text.
    """
    counts = Counter(fewer.kinds)
    kept, kinds, records = [], [], []
    for record in more.records:
        rows = more.tokens[[kind == record.kind for kind in more.kinds]][counts[record.kind] :]
        if len(rows):
            kept.append(rows)
            kinds += [record.kind] * len(rows)
            records.append(TextRecord(record.kind, record.documents, rows.size, _digest(rows)))
    empty = np.zeros((0, more.tokens.shape[1]), np.int32)
    return Sequences(np.concatenate([empty, *kept]), tuple(kinds), tuple(records))


def _kinds(documents: Sequence[Document], encoder: Encoder, context: int) -> list[_Kind]:
    by_kind: dict[str, list[Document]] = {}
    for document in documents:
        by_kind.setdefault(document.kind, []).append(document)
    kinds = []
    for (name, of_kind), encoded in zip(by_kind.items(), encoder.encode(list(by_kind.values())), strict=True):
        ids = encoded.tokens
        if encoder.bos is not None and encoder.bos not in ids[:1]:  # templates spell it themselves
            ids = np.concatenate([np.array([encoder.bos], np.int32), ids])
        rows = ids[: len(ids) // context * context].reshape(-1, context).copy()
        if encoder.bos is not None:
            rows[:, 0] = encoder.bos
        kinds.append(_Kind(name, tuple(of_kind), rows, len(ids), encoded.unknown / max(1, len(encoded.tokens))))
    return kinds


def _check(kind: _Kind, context: int, needed: int) -> None:
    if kind.unknown > MOST_UNKNOWN:
        raise CheckpointError(
            f"The tokenizer does not know {kind.unknown:.1%} of the tokens of the text {shown(kind.name)}, and at most "
            f"{MOST_UNKNOWN:.0%} may be unknown; give a text of the languages that the model was trained on."
        )
    if len(kind.rows) < needed:
        raise CheckpointError(
            f"The text {shown(kind.name)} has {kind.tokens:,} tokens, but {needed} sequence{'s' * (needed != 1)} of "
            f"{context:,} need{'s' * (needed == 1)} {needed * context:,}; give a longer text or a smaller context."
        )


def _shares(available: Sequence[int], wanted: int) -> Mapping[int, int]:
    """Return how many sequences each kind gives: one after the other, as long as they have some."""
    turns = sorted((turn, kind) for kind, count in enumerate(available) for turn in range(count))
    return Counter(kind for _, kind in turns[:wanted])


def _record(kind: _Kind, rows: NDArray[np.int32]) -> TextRecord:
    return TextRecord(kind.name, tuple(document.name for document in kind.documents), rows.size, _digest(rows))


def _digest(rows: NDArray[np.int32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, "<i4").tobytes()).hexdigest()
