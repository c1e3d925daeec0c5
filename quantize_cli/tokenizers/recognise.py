"""Which pre-tokenizer a byte-level BPE tokenizer has, told by what it does and by how it is built.

The reference converter encodes one fixed text and looks up the hash of the token ids. That fails for a fine-tune whose
added tokens occur in the text, and for every vocabulary of one's own. So, where the hash is unknown: the hash without
the added tokens; then the structure of tokenizer.json, which has to equal a known one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.hf_json import HubTokenizer
from quantize_cli.tokenizers.pre_tokenizers import PROBE, behave_alike, hash_of, name_of, structures
from quantize_cli.tokenizers.source import TOKENIZER_JSON, Source, mapping
from quantize_cli.tokenizers.structure import decoder_of, steps_of

#: The probe has a few words; a tokenizer that takes more rounds to strip than this is a made-up one.
_MAX_ROUNDS = 32


@dataclass(frozen=True, slots=True)
class Recognised:
    """The name of a pre-tokenizer, and sentences for the user if it was told by anything but its own hash."""

    name: str
    notes: tuple[str, ...] = ()


def recognise(tokenizer: HubTokenizer, source: Source) -> Recognised:
    """Name the tokenizer's pre-tokenizer.

    Raises:
        UnsupportedError: It is not one that llama.cpp has, or may be any of several that differ.
    """
    ids = tokenizer.backend.encode(PROBE).ids
    bos = tokenizer.backend.token_to_id(tokenizer.bos) if tokenizer.bos else None
    # the reference's older hashes were taken when `transformers` put add_bos_token above the post-processor
    before = bos if source.tokenizer_config.get("add_bos_token") else None
    if name := _first_name(ids, before):
        return Recognised(name)
    for fewer in _without_added_tokens(tokenizer.backend):
        if name := _first_name(fewer, bos):
            return _guessed(name, "apart from added tokens the vocabulary is a known one")
    names = _by_structure(tokenizer.backend, source)
    if not names:
        raise UnsupportedError(
            f"{source.where(TOKENIZER_JSON)} has a pre-tokenizer that is not known (hash {hash_of(ids)}); "
            "choose by --pre-tokenizer NAME the one that the model was trained with."
        )
    if not all(behave_alike(names[0], name) for name in names):
        raise UnsupportedError(
            f"{source.where(TOKENIZER_JSON)} splits text as several pre-tokenizers do that differ otherwise: "
            f"{', '.join(names)}; choose one by --pre-tokenizer NAME."
        )
    return _guessed(names[0], "tokenizer.json splits text in the same way")


def _guessed(name: str, reason: str) -> Recognised:
    return Recognised(name, (f"The pre-tokenizer is {name}, because {reason}; override with --pre-tokenizer.",))


def _first_name(ids: Sequence[int], bos: int | None) -> str | None:
    return name_of(ids) or (name_of([bos, *ids]) if bos is not None else None)


def _without_added_tokens(backend: Tokenizer) -> Iterator[Sequence[int]]:
    """Yield the probe's ids without the tokens of the post-processor, then with ever fewer added tokens.

    The added token with the highest id among those in the probe goes first: fine-tunes add theirs at the end.
    """
    added = backend.get_added_tokens_decoder()
    ids = backend.encode(PROBE, add_special_tokens=False).ids
    for _ in range(_MAX_ROUNDS):
        yield ids
        last = max((i for i in ids if i in added), default=None)
        if last is None:
            return
        added = {i: added[i] for i in sorted(added) if i < last}
        ids = _with_added_tokens(backend, list(added.values())).encode(PROBE).ids


def _with_added_tokens(backend: Tokenizer, added: list[AddedToken]) -> Tokenizer:
    """Return the tokenizer with other added tokens and no post-processor; the vocabulary is shared."""
    other = Tokenizer(backend.model)
    if backend.normalizer is not None:
        other.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        other.pre_tokenizer = backend.pre_tokenizer
    other.add_tokens(added)
    return other


def _by_structure(backend: Tokenizer, source: Source) -> list[str]:
    """Return the names that llama.cpp has for the structure of tokenizer.json, the usual one first."""
    facts = {
        "steps": steps_of(source.tokenizer),
        "decoder": decoder_of(source.tokenizer),
        "ignore_merges": bool(mapping(source.tokenizer.get("model")).get("ignore_merges")),
        "adds_bos": backend.encode("a").ids[:1] != backend.encode("a", add_special_tokens=False).ids[:1],
    }
    rows = (row for row in structures() if all(row.get(key, fact) == fact for key, fact in facts.items()))
    return [name for row in rows for name in row["names"]]
