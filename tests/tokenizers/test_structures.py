"""structures.json: each row is recognised, and llama.cpp splits under its name as the tokenizer does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from llama_tokenizer import token_ids
from oracle.ggml import needs_ggml
from structured import TEXTS, make_structured, split
from tokenizer_factory import keys, read

from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers import pre_tokenizers
from quantize_cli.tokenizers.pre_tokenizers import PROBE, behave_alike, hash_of, joins_alike, known_names, structures
from quantize_cli.tokenizers.structure import steps_of
from quantize_cli.tokenizers.vocabularies import BPE

pytestmark = pytest.mark.usefixtures("without_child")

MARKS = "កាន់តែពិសេសអាច हिन्दी में लिखा हुआ पाठ ไทย"
#: Where llama.cpp itself differs from the tokenizers that a name was made for.
DIFFERS = {"gpt-4o": {TEXTS[0], MARKS}, "tekken": {TEXTS[0], MARKS}, "tiny_aya": {TEXTS[0], TEXTS[4]}}
#: It does not split numbers as these do, which shows in no vocabulary that was learned from their pieces.
ONLY_LEARNED = {"deepseek-llm", "falcon"}

ROWS = [pytest.param(row, id=f"{i}-{row['names'][0]}") for i, row in enumerate(structures())]


@pytest.mark.parametrize("row", ROWS)
def test_a_vocabulary_of_ones_own_is_told_by_its_structure(tmp_path: Path, row: Mapping[str, Any]):
    make_structured(tmp_path, row)
    found = read(tmp_path, BPE)
    name = row["names"][0]
    assert {field.key: field.value for field in found.fields}["tokenizer.ggml.pre"] == name
    others = [other for other in row["names"] if not joins_alike(name, other)]
    assert len(found.notes) == (1 if others else 0)
    for note in found.notes:
        assert note.startswith(f"The pre-tokenizer of {tmp_path / 'tokenizer.json'} is {name} or {', '.join(others)}, ")
        assert note.endswith(f"{name} is used; override with --pre-tokenizer.")


@needs_ggml
@pytest.mark.parametrize("coarse", [False, True], ids=["learned", "coarse"])
@pytest.mark.parametrize("row", ROWS)
def test_llama_cpp_makes_the_same_tokens(tmp_path: Path, row: Mapping[str, Any], coarse: bool):
    name = row["names"][0]
    tokenizer = make_structured(tmp_path, row, coarse=coarse and name not in ONLY_LEARNED)
    fields = read(tmp_path, BPE).fields
    texts = [text for text in (*TEXTS, MARKS) if text not in DIFFERS.get(name, ())]
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert len(texts) >= 7
    assert token_ids(fields, texts, tmp_path / "vocabulary.gguf") == expected


@needs_ggml
@pytest.mark.parametrize("other", ["gpt-2", "smollm", "llama-bpe", "deepseek-v3", "qwen35"])
def test_another_name_makes_other_tokens(tmp_path: Path, other: str):
    """The texts tell pre-tokenizers apart, or the test above would show nothing."""
    row = next(row for row in structures() if "qwen2" in row["names"])
    tokenizer = make_structured(tmp_path, row, coarse=True)
    texts = (*TEXTS, MARKS)
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    fields = read(tmp_path, BPE, pre_tokenizer=other).fields
    assert token_ids(fields, texts, tmp_path / "vocabulary.gguf") != expected


def test_the_rows_are_whole():
    names = [name for row in structures() for name in row["names"]]
    assert set(names) <= set(known_names())
    for row in structures():
        assert row["seen_in"]
        assert all(behave_alike(row["names"][0], name) for name in row["names"])
        facts = {key: row[key] for key in row if key not in ("names", "seen_in")}
        assert sum(all(other.get(key, fact) == fact for key, fact in facts.items()) for other in structures()) == 1


GPT2 = next(row for row in structures() if "gpt-2" in row["names"])["steps"][0]
LLAMA3 = next(row for row in structures() if "llama-bpe" in row["names"])["steps"][0]
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}


def several(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BYTES, several(split(GPT2), {**BYTES, "use_regex": False})),
        ({**BYTES, "use_regex": True}, several(several(BYTES), several())),
        (BYTES, {**BYTES, "trim_offsets": False}),
        (
            several({"type": "Digits", "individual_digits": True}, BYTES),
            several(split(r"\p{N}"), split(GPT2), {**BYTES, "use_regex": False}),
        ),
        ({"type": "Digits", "individual_digits": False}, split(r"\p{N}+")),
        (split(LLAMA3), split(LLAMA3, "Removed", invert=True)),
    ],
)
def test_the_same_split_in_another_spelling(one: dict[str, Any], other: dict[str, Any]):
    assert steps_of({"pre_tokenizer": one}) == steps_of({"pre_tokenizer": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BYTES, {**BYTES, "add_prefix_space": True}),
        (split(LLAMA3), split(LLAMA3, "MergedWithNext")),
        (split(LLAMA3), split(LLAMA3, "Removed")),
        (split(r"\p{N}"), split(r"\p{N}", "Removed", invert=True)),  # would drop all but digits
        (several(split(r"\p{N}"), BYTES), several(BYTES, split(r"\p{N}"))),
        (split("a"), {"type": "Split", "pattern": {"String": "a"}, "behavior": "Isolated", "invert": False}),
    ],
)
def test_another_split(one: dict[str, Any], other: dict[str, Any]):
    assert steps_of({"pre_tokenizer": one}) != steps_of({"pre_tokenizer": other})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("normalizer", {"type": "Lowercase"}),
        ("pre_tokenizer", {**BYTES, "add_prefix_space": True}),
        ("pre_tokenizer", several(split(r"\p{N}{1,4}"), BYTES)),
        ("decoder", {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
        ("model", {"ignore_merges": True}),
        ("model", {"end_of_word_suffix": "</w>"}),
    ],
)
def test_a_structure_that_nobody_knows_is_refused(tmp_path: Path, key: str, value: dict[str, Any]):
    row = next(row for row in structures() if "gpt-2" in row["names"])
    make_structured(tmp_path, row)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: {**content["model"], **value} if key == "model" else value}))
    with pytest.raises(UnsupportedError, match=r"tokenizer\.json has an unknown pre-tokenizer .*--pre-tok"):
        read(tmp_path, BPE)
    assert keys(tmp_path, BPE, pre_tokenizer="gpt-2")["ggml.pre"] == "gpt-2"


def test_composed_text_is_what_llama_cpp_takes(tmp_path: Path):
    make_structured(tmp_path, next(row for row in structures() if "qwen2" in row["names"]))
    path = tmp_path / "tokenizer.json"
    normalizer = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "normalizer": normalizer}))
    assert keys(tmp_path, BPE)["ggml.pre"] == "qwen2"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["gpt-2", "qwen2"], None),
        (["llama-bpe", "glm4"], None),  # one adds BOS by itself
        (["smollm", "starcoder"], "smollm"),  # they differ in putting text together again
        (["olmo", "gpt-2", "jais"], "olmo"),
    ],
)
def test_names_that_differ_are_ambiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], expected: str | None
):
    make_structured(tmp_path, next(row for row in structures() if "gpt-2" in row["names"]))
    rows = [{**row, "names": names} if "gpt-2" in row["names"] else row for row in structures()]
    monkeypatch.setattr("quantize_cli.tokenizers.child.recognise.structures", lambda: rows)
    if expected:
        assert keys(tmp_path, BPE)["ggml.pre"] == expected
        return
    with pytest.raises(UnsupportedError, match=rf"{', '.join(names)}; choose one by --pre-tokenizer"):
        read(tmp_path, BPE)
    chosen = read(tmp_path, BPE, pre_tokenizer=names[1])
    assert names[1] in [field.value for field in chosen.fields]
    assert chosen.notes == ()


def test_the_tables_belong_together():
    hashes = pre_tokenizers._table("pre_tokenizers.json")["hashes"]
    assert len(hashes) == 95
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in hashes)
    named = set(hashes.values())
    assert named - set(known_names()) == {"bert-bge-large", "jina-v2-en"}  # met with WordPiece alone
    assert sha256(PROBE.encode()).hexdigest() == pre_tokenizers._table("pre_tokenizers.json")["probe_sha256"]
    assert hash_of([1, 2]) == "3a316d6d3226f84c1e46e4447fa8d5fd800bff4a1bc6498152523cd4a602b69b"
