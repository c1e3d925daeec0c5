"""Cut real tokenizers to a size that a repository can hold; run by hand, PROVENANCE.md says with what.

    PYTHONPATH=tests python -m golden.families.cut_tokenizers SHARED

A cut tokenizer keeps the tokens of bytes, the added tokens (of a series the first few), and what the first
merges make of them. All ids are numbered anew in the old order. The rest of the files stays as it is.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from golden.families.sentencepiece_model import with_pieces
from golden.families.tokenizer_json import Json, token_ids
from golden.families.vocabularies import CUT, CUT_PRE_TOKENIZERS

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

#: tokenizer.model of those that have one; Phi-3's is Llama 2's.
MODELS = {
    "mistral-7b-v0.3": "mistral-7b-v0.3/tokenizer.model.v3",
    "phi3-mini": "llama2-spm/tokenizer.model",
}

TOKENS = 2_000  # to keep, beside the added ones
OF_A_SERIES = 4  # to keep of "<unused0>", "<unused1>" ..., and of the runs of each kind of white space
LONGEST = 12  # letters of a token that is not added; runs of spaces would take most of the file

_NUMBER = re.compile(r"\d+|(?<=([\s▁]))\1+")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def cut(tokenizer: Json) -> Json:
    """Return tokenizer.json with fewer tokens."""
    model = tokenizer["model"]
    kept_added = _without_series(tokenizer["added_tokens"])
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    dropped = {token["content"] for token in tokenizer["added_tokens"]} - {token["content"] for token in kept_added}
    texts = _first_tokens(model["vocab"], merges, {token["content"] for token in kept_added}, dropped)
    old = sorted({model["vocab"][text] for text in texts} | {token["id"] for token in kept_added})
    new = {token_id: place for place, token_id in enumerate(old)}
    as_text = isinstance(model["merges"][0], str)
    kept_merges = [pair for pair in merges if {*pair, "".join(pair)} <= texts]
    return {
        **tokenizer,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in kept_added],
        "post_processor": _renumbered(tokenizer["post_processor"], new),
        "model": {
            **model,
            "vocab": {text: new[number] for text, number in model["vocab"].items() if text in texts},
            "merges": [" ".join(pair) for pair in kept_merges] if as_text else kept_merges,
        },
    }


def _without_series(added: Iterable[Json]) -> list[Json]:
    """Leave out most of the tokens that differ in their number or length alone."""
    seen: Counter[str] = Counter()
    kept = []
    for token in added:
        series = _NUMBER.sub("#", token["content"])
        seen[series] += 1
        if seen[series] <= OF_A_SERIES or series == token["content"]:
            kept.append(token)
    return kept


def _first_tokens(
    vocab: Mapping[str, int], merges: Iterable[tuple[str, ...]], added: set[str], dropped: set[str]
) -> set[str]:
    """Return the tokens of bytes, the added ones, and what the first merges make and need."""
    made = {"".join(pair): pair for pair in reversed(list(merges))}
    byte_level = not any(map(_BYTE.fullmatch, vocab))
    texts = {text for text in vocab if (len(text) == 1 if byte_level else _BYTE.fullmatch(text))} | added & vocab.keys()
    for text in reversed(made):
        if len(texts) >= TOKENS:
            break
        if len(text) <= LONGEST:
            texts.update(_needed(text, made))
    return texts - dropped


def _needed(text: str, made: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    yield text
    for part in made.get(text, ()):
        yield from _needed(part, made)


def _renumbered(post_processor: Any, new: Mapping[int, int]) -> Any:
    """Return the post-processor with the new ids of its special tokens."""
    if isinstance(post_processor, list):
        return [_renumbered(value, new) for value in post_processor]
    if not isinstance(post_processor, dict):
        return post_processor
    return {
        key: [new[token_id] for token_id in value] if key == "ids" else _renumbered(value, new)
        for key, value in post_processor.items()
    }


def settings(content: Json, ids: Mapping[str, int]) -> Json:
    """Return a settings file with the ids of the tokens that are kept."""
    if "added_tokens_decoder" in content:
        decoder = content["added_tokens_decoder"].values()
        kept = {str(ids[token["content"]]): token for token in decoder if token["content"] in ids}
        return {**content, "added_tokens_decoder": kept}
    return {key: ids.get(key, value) if isinstance(value, int) else value for key, value in content.items()}


def _write(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


def main() -> None:
    """Cut each tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with tokenizers/")
    parser.add_argument("names", nargs="*", default=CUT_PRE_TOKENIZERS, metavar="NAME")
    args = parser.parse_args()
    for name in args.names:
        source, target = args.shared / "tokenizers" / name, CUT / name
        target.mkdir(parents=True, exist_ok=True)
        tokenizer = cut(json.loads((source / "tokenizer.json").read_text()))
        _write(target / "tokenizer.json", tokenizer)
        for file in SETTINGS:
            if (source / file).exists():
                _write(target / file, settings(json.loads((source / file).read_text()), token_ids(tokenizer)))
        if name in MODELS:
            model = (args.shared / "tokenizers" / MODELS[name]).read_bytes()
            (target / "tokenizer.model").write_bytes(with_pieces(model, tokenizer["model"]["vocab"].keys()))


if __name__ == "__main__":
    main()
