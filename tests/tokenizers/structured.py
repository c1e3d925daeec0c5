"""Small tokenizers of every known structure, trained on a few sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, pre_tokenizers, trainers

from quantize_cli.tokenizers.pre_tokenizers import PROBE

#: What the pre-tokenizers differ in: numbers, contractions, newlines, spaces, punctuation, case, scripts.
TEXTS = (
    PROBE,
    "The year 1984 cost 12,345.67 dollars; room 7 of 42 in 2001, 123456789 times.",
    "It's what they'd say: I'm sure we've YOU'RE he'll DON'T 'S 'twas rock'n'roll",
    "def f(x):\n    return {'a': x ** 2}  # why\n\n\n\tif not x:\r\n        pass\n",
    "camelCase HTTPServer XMLHttpRequest iPhone  three   spaces    and\ttabs ",
    "#include <stdio.h>\n//!?...,;:--==/* a/b\\c */\n$100 + 5% = ~^`|\n",
    "Ein Übermaß, déjà vu, señor, Český jazyk, Ελληνικά, Привет мир",
    "我们在学习 ABC 中文123 ひらがなカタカナ 한국어",
)
TRAINING = [*TEXTS, "the 1984 1985 2001 2001 123 456 789 12 34 345 it's it's we'll DON'T"] * 6


def make_structured(folder: Path, row: Mapping[str, Any], *, coarse: bool = False) -> Tokenizer:
    """Write the tokenizer.json of a tokenizer with the structure of a row of structures.json, and return it.

    Its tokens lie within the pieces that it splits text into; with `coarse` they do not, so that every split shows.
    """
    byte_level = row["decoder"] == ["ByteLevel"]
    steps = [step if isinstance(step, dict) else split(step) for step in row["steps"]]
    shell = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": next((step for step in steps if step["type"] == "Replace"), None),
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {**step, "trim_offsets": True, "use_regex": False} if step["type"] == "ByteLevel" else step
                for step in steps
                if step["type"] != "Replace"
            ],
        },
        "post_processor": BOS_FIRST if row.get("adds_bos") else None,
        "decoder": DECODERS[tuple(row["decoder"])],
        "model": {"type": "BPE", "ignore_merges": row.get("ignore_merges", False), "vocab": {}, "merges": []},
    }
    bytes_ = pre_tokenizers.ByteLevel.alphabet() if byte_level else [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        initial_alphabet=bytes_ if byte_level else [],
        special_tokens=["<s>"] if byte_level else ["<s>", *bytes_],
        show_progress=False,
    )
    learner = Tokenizer.from_str(json.dumps({**shell, "post_processor": None}))
    if not byte_level:
        lines = pre_tokenizers.Split(Regex(r"[^\n]+|\n+"), "isolated")
        learner.pre_tokenizer = pre_tokenizers.Sequence([learner.pre_tokenizer, lines])
    elif coarse:
        learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    learner.train_from_iterator(TRAINING, trainer)
    learned = json.loads(learner.to_str())

    model = {**learned["model"], "byte_fallback": not byte_level}
    content = json.dumps({**shell, "model": model, "added_tokens": learned["added_tokens"][:1]})
    (folder / "tokenizer.json").write_text(content)
    return Tokenizer.from_str(content)


def split(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    """The step that splits by a pattern."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


DECODERS: dict[tuple[str, ...], Any] = {
    ("ByteLevel",): {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    ("Replace", "ByteFallback", "Fuse"): {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ],
    },
}
BOS_FIRST = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
}
