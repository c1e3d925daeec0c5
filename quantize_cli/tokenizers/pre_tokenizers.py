"""The pre-tokenizers of llama.cpp by name, the possible values of `tokenizer.ggml.pre`.

The facts are in data/pre_tokenizers.json: `hashes` maps the hash of a probe text's token ids to a name, and `names`
describes what llama.cpp does for each name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from quantize_cli.errors import UsageError, shown

#: The reference converter's text, which most pre-tokenizers split differently. Changing one character would change all
#: hashes.
PROBE = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n"
    "🚀 (normal) 😶\u200d🌫\ufe0f (multiple emojis concatenated) ✅ 🦙🦙 "
    "3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 "
    "កាន់តែពិសេសអាច😁 "
    "?我想在apple工作1314151天～ "
    "------======= "
    "нещо на Български "
    "''''''```````\"\"\"\"......!!!!!!?????? "
    "I've been 'told he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL"
)


def name_of(ids: Sequence[int]) -> str | None:
    """Return the name of the pre-tokenizer that gives the probe these token ids, if llama.cpp has one that does."""
    hashes: Mapping[str, str] = _table("pre_tokenizers.json")["hashes"]
    name = hashes.get(hash_of(ids))
    return name if name in known_names() else None


def hash_of(ids: Sequence[int]) -> str:
    """Return the hash by which the reference converter knows token ids."""
    return sha256(str(list(ids)).encode()).hexdigest()


def behave_alike(one: str, other: str) -> bool:
    """Tell whether llama.cpp makes the same tokens of every text under both names.

    The comparison ignores whether llama.cpp drops spaces when it joins tokens to text (`clean_spaces`).
    """
    return _behaviour(one) == _behaviour(other)


def split_alike(one: str, other: str) -> bool:
    """Tell whether llama.cpp has the same patterns under both names."""
    return bool(_behaviour(one)["regex"] == _behaviour(other)["regex"])


def joins_alike(one: str, other: str) -> bool:
    """Tell whether llama.cpp makes the same text of tokens under both names: whether it drops spaces when it joins."""
    names = _table("pre_tokenizers.json")["names"]
    return bool(names[one].get("clean_spaces", True) == names[other].get("clean_spaces", True))


def structures() -> Sequence[Mapping[str, Any]]:
    """Return the known structures of tokenizer.json; see data/README.md."""
    rows: Sequence[Mapping[str, Any]] = _table("structures.json")["structures"]
    return rows


def known_names() -> tuple[str, ...]:
    """Return every name that the user can choose."""
    return tuple(name for name, facts in _table("pre_tokenizers.json")["names"].items() if facts["type"])


def check_name(name: str) -> None:
    """Raise UsageError if llama.cpp does not have a pre-tokenizer called `name`."""
    names = known_names()
    if name not in names:
        close = get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(names)}."
        raise UsageError(f"{shown(name)} is not the name of a pre-tokenizer; {hint}")


def _behaviour(name: str) -> dict[str, Any]:
    facts = _table("pre_tokenizers.json")["names"][name]
    return {key: value for key, value in facts.items() if key not in ("type", "clean_spaces")}


@cache
def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((files(__package__) / "data" / name).read_bytes())
    return table
