"""Recognition of the pre-tokenizer of a byte-level BPE tokenizer, by its behaviour and by its structure.

The reference converter encodes one fixed text and looks up the hash of the token ids. That fails for a fine-tune whose
added tokens occur in the text, and for every new vocabulary. So, if the hash is unknown, the hash without the added
tokens counts, and then the structure of tokenizer.json, which must equal a known one. A hash may lead to a name that
splits text in another way, because the vocabulary does not show the difference in that one text; then there is a note.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.child.hub import HubTokenizer
from quantize_cli.tokenizers.json_values import mapping
from quantize_cli.tokenizers.pre_tokenizers import (
    PROBE,
    behave_alike,
    hash_of,
    joins_alike,
    name_of,
    split_alike,
    structures,
)
from quantize_cli.tokenizers.structure import decoder_of, steps_of

#: The probe has few words, so a real tokenizer does not need more rounds than this to remove added tokens.
_MAX_ROUNDS = 32


@dataclass(frozen=True, slots=True)
class Recognised:
    """The name of a pre-tokenizer, and sentences for the user about what is left to decide."""

    name: str
    by: str  #: what told: "hash", "hash without added tokens" or "structure"
    notes: tuple[str, ...] = ()


def recognise(tokenizer: HubTokenizer, shell: Mapping[str, Any], vocabulary: Collection[str], where: str) -> Recognised:
    """Recognise a tokenizer's pre-tokenizer.

    Args:
        tokenizer: The tokenizer.
        shell: tokenizer.json without its vocabulary.
        vocabulary: The texts of its tokens.
        where: Its name in messages.

    Raises:
        UnsupportedError: llama.cpp does not have it, or it may be one of several that differ.
    """
    names = _by_structure(tokenizer.backend, shell, vocabulary)
    ids = tokenizer.backend.encode(PROBE).ids
    bos = tokenizer.backend.token_to_id(tokenizer.bos) if tokenizer.bos else None
    # the reference's older hashes are from the time when `transformers` preferred add_bos_token to the post-processor
    if name := _first_name(ids, bos if tokenizer.adds_bos else None):
        return Recognised(name, "hash", tuple(_splits_otherwise(name, names, where)))
    for fewer in _without_additions(tokenizer.backend):
        if name := _first_name(fewer, bos):
            return Recognised(name, "hash without added tokens", tuple(_splits_otherwise(name, names, where)))
    if not names:
        raise UnsupportedError(
            f"{where} has an unknown pre-tokenizer (hash {hash_of(ids)}); choose the one that the model was trained "
            "with by --pre-tokenizer NAME."
        )
    if not all(behave_alike(names[0], name) for name in names):
        raise UnsupportedError(
            f"{where} may have one of several pre-tokenizers, which differ in other respects: {', '.join(names)}; "
            "choose one by --pre-tokenizer NAME."
        )
    return Recognised(names[0], "structure", tuple(_joins_otherwise(names, where)))


def _splits_otherwise(name: str, names: Sequence[str], where: str) -> Iterator[str]:
    """Report a name by hash that is another structure's; the reference knows hashes alone."""
    structured = any(name in row["names"] for row in structures())
    if structured and names and not any(split_alike(name, other) for other in names):
        yield (
            f"{where} has the pre-tokenizer {name} for llama.cpp's converter, but splits text as {names[0]} does, so "
            f"llama.cpp may make other tokens of it; {name} is used; override with --pre-tokenizer {names[0]}."
        )


def _joins_otherwise(names: Sequence[str], where: str) -> Iterator[str]:
    """Report names that make the same tokens but other text of them."""
    others = [name for name in names if not joins_alike(names[0], name)]
    if others:
        yield (
            f"The pre-tokenizer of {where} is {names[0]} or {', '.join(others)}, which differ only in spaces before "
            f"punctuation when tokens become text; {names[0]} is used; override with --pre-tokenizer."
        )


def _first_name(ids: Sequence[int], bos: int | None) -> str | None:
    return name_of(ids) or (name_of([bos, *ids]) if bos is not None else None)


def _without_additions(backend: Tokenizer) -> Iterator[Sequence[int]]:
    """Yield the probe's ids with fewer and fewer added tokens, first with the post-processor's tokens, then without.

    The added token with the highest id in the probe is removed first, because fine-tunes add theirs at the end.
    """
    for special in (True, False):
        added = backend.get_added_tokens_decoder()
        fewer = backend
        for _ in range(_MAX_ROUNDS):
            ids = fewer.encode(PROBE, add_special_tokens=special).ids
            yield ids
            last = max((i for i in ids if i in added), default=None)
            if last is None:
                break
            added = {i: added[i] for i in sorted(added) if i < last}
            fewer = _with_added_tokens(backend, list(added.values()))


def _with_added_tokens(backend: Tokenizer, added: list[AddedToken]) -> Tokenizer:
    """Return the tokenizer with other added tokens; the vocabulary is shared."""
    other = Tokenizer(backend.model)
    for part in ("normalizer", "pre_tokenizer", "post_processor"):
        if (held := getattr(backend, part)) is not None:
            setattr(other, part, held)
    other.add_tokens(added)
    return other


def _by_structure(backend: Tokenizer, shell: Mapping[str, Any], vocabulary: Collection[str]) -> list[str]:
    """Return the names that llama.cpp has for the structure of tokenizer.json, the usual one first."""
    facts = {
        "steps": steps_of(shell),
        "decoder": decoder_of(shell),
        "ignore_merges": bool(mapping(shell.get("model")).get("ignore_merges")),
        "adds_bos": backend.encode("a").ids[:1] != backend.encode("a", add_special_tokens=False).ids[:1],
        "newlines_alone": not any("\n" in token and token.strip("\n") for token in vocabulary),
    }
    rows = (row for row in structures() if all(row.get(key, fact) == fact for key, fact in facts.items()))
    return [name for row in rows for name in row["names"]]
