"""The structure of a tokenizer.json, that is, its way to split text, in one spelling for all the ways to write it.

A structure is the list of its steps. A step that separates every match of a pattern is the pattern alone, whether the
file spells it as `Split`, as `Digits` or within `ByteLevel`. Any other step is its JSON object without the entries that
do not change tokens. Unicode's composed form (NFC) is left out, because llama.cpp does not normalize text for any
pre-tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from quantize_cli.tokenizers.json_values import mapping, sequence

Step: TypeAlias = str | dict[str, Any]

#: The pattern within `ByteLevel`, GPT-2's.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DIGITS = {True: r"\p{N}", False: r"\p{N}+"}  #: `individual_digits` -> the pattern
#: A pattern that ends so matches all of a text, and then to drop what it does not match changes nothing.
_COVERS_ALL = r"|\s+"


def steps_of(tokenizer: Mapping[str, Any]) -> list[Step]:
    """Return the structure of a tokenizer.json (shape of `Tokenizer.to_str()`; its vocabulary is not needed)."""
    steps: list[Step] = [
        step for step in _flat(tokenizer.get("normalizer"), "normalizers") if step.get("type") != "NFC"
    ]
    for step in _flat(tokenizer.get("pre_tokenizer"), "pretokenizers"):
        steps += _splits(step)
    model = mapping(tokenizer.get("model"))
    steps += [{key: model[key]} for key in ("continuing_subword_prefix", "end_of_word_suffix") if model.get(key)]
    return steps


def decoder_of(tokenizer: Mapping[str, Any]) -> list[str]:
    """Return the types of a tokenizer.json's decoders."""
    return [str(step.get("type")) for step in _flat(tokenizer.get("decoder"), "decoders")]


def _flat(step: object, inner: str) -> Iterator[dict[str, Any]]:
    """Yield the steps of nested `Sequence`s one after the other."""
    pending = [step]
    while pending:
        step = mapping(pending.pop())
        if step.get("type") == "Sequence":
            pending += reversed(sequence(step.get(inner)))
        elif step:
            yield step


def _splits(step: dict[str, Any]) -> list[Step]:
    match step.get("type"):
        case "Split":
            return [_split(step)]
        case "Digits":
            return [_DIGITS[bool(step.get("individual_digits"))]]
        case "ByteLevel":
            pattern = [_GPT2] if step.get("use_regex", True) else []
            return [*pattern, _without(step, "use_regex", "trim_offsets")]
    return [step]


def _split(step: dict[str, Any]) -> Step:
    pattern = mapping(step.get("pattern")).get("Regex")
    if isinstance(pattern, str):
        match step.get("behavior"), step.get("invert"):
            case "Isolated", _:
                return pattern
            case "Removed", True if pattern.endswith(_COVERS_ALL):
                return pattern
    return step


def _without(step: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key not in names}
