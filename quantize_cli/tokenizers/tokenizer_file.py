"""tokenizer.json and what the files beside it add, as read by a process of its own.

That process parses the JSON too: its objects take ten times the memory of the file, and a process keeps most of that.
What comes back is what a GGUF file needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantize_cli.checkpoints.sidecars import Json, Sidecars
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError
from quantize_cli.tokenizers.sandbox import Limits, in_child

TOKENIZER_JSON = "tokenizer.json"
#: The files that the other process reads.
FILES = (TOKENIZER_JSON, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")
_ERRORS: Mapping[str, type[QuantizeError]] = {kind.__name__: kind for kind in (CheckpointError, UnsupportedError)}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that is found in a text before the text is split."""

    id: int
    text: str
    plain: str  #: its text as llama.cpp wants it, which does not normalize it
    special: bool
    origin: str | None  #: the files beside tokenizer.json that add it


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A BPE tokenizer; of any other there is only the shell."""

    shell: Mapping[str, Json]  #: the JSON without vocabulary and merges
    texts: Sequence[str] = ()  #: the vocabulary without added tokens
    ids: Sequence[int] = ()  #: one a text
    merges: Sequence[str] = ()  #: each with a space between its two parts
    added: Sequence[AddedToken] = ()  #: by id
    special: frozenset[str] = frozenset()  #: texts of the tokens with a role
    pre: Mapping[str, Any] | None = None  #: `name`, `by` and `notes` of the pre-tokenizer, or `refusal`, if asked for
    notes: tuple[str, ...] = ()  #: sentences for the user about files that disagree

    def tokens(self) -> Iterator[tuple[int, str]]:
        """Iterate over id and text of the vocabulary without added tokens."""
        return zip(self.ids, self.texts, strict=True)


@dataclass(frozen=True, slots=True)
class ComparedFile:
    """A tokenizer.json beside a tokenizer.model, which has the vocabulary."""

    shell: Mapping[str, Json]  #: the JSON without vocabulary and merges
    odd: tuple[str, int] | None  #: text and id of the first token that is not the piece with its id


def read_tokenizer(sidecars: Sidecars, *, hf_class: str | None, recognised: bool) -> TokenizerFile:
    """Read tokenizer.json with the tokens that the files beside it add.

    Args:
        sidecars: The checkpoint's small files.
        hf_class: The tokenizer class of transformers that the family fixes.
        recognised: Whether to recognise the pre-tokenizer.

    Raises:
        CheckpointError: A file is damaged, or takes too much time or memory for its size.
        QuantizeError: The system does not start a process.
    """
    found = _ask(sidecars, hf_class=hf_class, recognised=recognised)
    return TokenizerFile(
        **{
            **found,
            "added": [AddedToken(*row) for row in found.get("added", ())],
            "special": frozenset(found.get("special", ())),
            "notes": tuple(found.get("notes", ())),
        }
    )


def compare_tokenizer(sidecars: Sidecars, pieces: Sequence[str | None]) -> ComparedFile:
    """Read tokenizer.json without its vocabulary, and find the first token that is not the piece with its id.

    Args:
        sidecars: The checkpoint's small files.
        pieces: The texts of the pieces by id; None equals any token.

    Raises:
        CheckpointError: A file is damaged, or takes too much time or memory for its size.
        QuantizeError: The system does not start a process.
    """
    found = _ask(sidecars, pieces=pieces)
    return ComparedFile(found["shell"], None if found["odd"] is None else tuple(found["odd"]))


def ask(
    sidecars: Sidecars,
    names: Sequence[str],
    what: str,
    limits: Callable[[int], Limits],
    packages: Sequence[str] = (),
    **asked: Json,
) -> dict[str, Json]:
    """Return the other process's answer; `child.main.answer` shows the form of the request.

    Args:
        sidecars: The checkpoint's small files.
        names: Those that the process gets, if they exist.
        what: Their name in messages about the process.
        limits: Returns what the process may use for a request of so many bytes.
        packages: The packages that the process imports beside this one.
        asked: The rest of the request.

    Raises:
        CheckpointError: A file is damaged, or takes too much time or memory for its size.
        QuantizeError: The system does not start a process.
    """
    files = {name: sidecars.read(name) for name in names if sidecars.has(name)}
    head = {
        "sizes": {name: len(content) for name, content in files.items()},
        "wheres": {name: sidecars.where(name) for name in names},
        **asked,
    }
    request = b"".join((json.dumps(head).encode(), b"\n", *files.values()))
    del files
    answer: dict[str, Json] = json.loads(in_child(request, what, limits(len(request)), packages))
    if "error" in answer:
        kind, sentence = answer["error"]
        raise _ERRORS[kind](sentence)
    return answer


def _ask(sidecars: Sidecars, **asked: Json) -> dict[str, Json]:
    what = f"{sidecars.where(TOKENIZER_JSON)}, with the files beside it,"
    return ask(sidecars, FILES, what, _limits, ("tokenizers",), **asked)


def _limits(size: int) -> Limits:
    """Return limits for a request of `size` bytes; real tokenizers take a fifth of the time and half of the memory."""
    mebibytes = size / _MIB
    return Limits(seconds=4 + int(mebibytes / 2), mebibytes=128 + int(24 * mebibytes))
