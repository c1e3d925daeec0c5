"""The kinds of input: what is damaged, and how. An input has a kind and a number, and is the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from fuzz import hostile, large, seeds
from fuzz.containers import damage_gguf, damage_legacy, damage_sentencepiece
from fuzz.mutations import damage_bytes, damage_json
from fuzz.seeds import Input

Damage = Callable[[Random, Input], Input]

#: Inputs of the first numbers are good ones, repeated where there are fewer.
GOOD = 16


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    good: Callable[[], Sequence[Input]]  #: returns good inputs
    damage: Damage | None  #: None where the good inputs are a trial in themselves
    format: str = "q8_0"
    run: bool = False  #: whether to quantize the weights; the plan is everything that the others can change
    loads: bool = True  #: whether what is accepted must be a file that llama.cpp loads


def damaged(kind: str, number: int) -> Input:
    """Return the input of that number."""
    good, damage = KINDS[kind].good(), KINDS[kind].damage
    if number < GOOD or damage is None:
        return good[number % len(good)]
    rng = Random(f"{kind} {number}")
    return damage(rng, rng.choice(good))


def _text(names: Sequence[str], plants: hostile.Plants, wholes: Sequence[bytes] = ()) -> Damage:
    """Damage one of the files with these names; `wholes` are other contents of the first."""

    def damage(rng: Random, given: Input) -> Input:
        name = rng.choice([name for name in names if name in given.files])
        content = given.files[name]
        choice = rng.random()
        if choice < 0.02:
            return given.with_file(name, None).with_file(f"{name}/x", content)  # a folder
        if choice < 0.1:
            return given.with_file(name, rng.choice((*hostile.INSTEAD, *given.files.values())))
        if choice < 0.6 and wholes and name == names[0]:
            return given.with_file(name, rng.choice(wholes))
        if choice < 0.2 or not name.endswith(".json"):
            return given.with_file(name, damage_bytes(rng, content))
        return given.with_file(name, damage_json(rng, content, plants))

    return damage


def _safetensors(rng: Random, given: Input) -> Input:
    """Damage the header of the weights, or of a file with the first few of them."""
    name = "model.safetensors"
    content = given.files[name]
    end = 8 + int.from_bytes(content[:8], "little")
    choice = rng.random()
    if choice < 0.2:
        return given.with_file(name, damage_bytes(rng, content[:end]) + content[end:])
    header, data = json.loads(content[8:end]), content[end:]
    header.pop("__metadata__")
    if choice < 0.4:
        first = sorted(header.items(), key=lambda entry: entry[1]["data_offsets"])[: rng.choice((1, 2, 3))]
        header, data = dict(first), bytes(first[-1][1]["data_offsets"][1])
    spelled = damage_json(rng, json.dumps(header).encode(), hostile.TENSORS)
    return given.with_file(name, len(spelled).to_bytes(8, "little") + spelled + data)


def _recognised(damage: Damage) -> Damage:
    """Damage, and often leave the pre-tokenizer to be recognised, which makes the tokenizer encode a text."""

    def apply(rng: Random, given: Input) -> Input:
        found = damage(rng, given)
        return replace(found, options={}) if rng.random() < 0.5 else found

    return apply


def _binary(damage: Callable[[Random, bytes], bytes], name: str = "") -> Damage:
    """Damage the file of that name; the default is the importance matrix, or else one of the model's files."""

    def apply(rng: Random, given: Input) -> Input:
        file = name or given.imatrix or rng.choice(sorted(given.files))
        return given.with_file(file, damage(rng, given.files[file]))

    return apply


def _with(name: str) -> Callable[[], tuple[Input, ...]]:
    return lambda: tuple(given for given in seeds.checkpoints() if name in given.files)


_DESCRIPTIONS = ("README.md", "generation_config.json", "modules.json", "1_Pooling/config.json")
_SETTINGS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "additional_chat_templates/tool.jinja",
)

#: Kinds of inputs that are damaged at random.
RANDOM: Mapping[str, Kind] = {
    "safetensors": Kind(seeds.checkpoints, _safetensors, run=True),
    "index": Kind(seeds.sharded, _text(("model.safetensors.index.json",), {})),
    "config": Kind(seeds.checkpoints, _text(("config.json",), hostile.CONFIG)),
    "description": Kind(seeds.described, _text(_DESCRIPTIONS, hostile.DESCRIPTION, hostile.CARDS)),
    "tokenizer.json": Kind(_with("tokenizer.json"), _recognised(_text(("tokenizer.json",), hostile.TOKENIZER))),
    "tokenizer-settings": Kind(seeds.checkpoints, _text(_SETTINGS, hostile.TOKENIZER_SETTINGS)),
    "tokenizer.model": Kind(_with("tokenizer.model"), _binary(damage_sentencepiece, "tokenizer.model")),
    "gguf": Kind(seeds.gguf_files, _binary(damage_gguf), run=True),
    "imatrix.gguf": Kind(seeds.imatrices, _binary(damage_gguf), "q4_0", run=True),
    "imatrix.dat": Kind(seeds.legacy_imatrices, _binary(damage_legacy), "q4_0", run=True),
}

KINDS: Mapping[str, Kind] = {**RANDOM, "large": Kind(large.inputs, None, run=True, loads=False)}
