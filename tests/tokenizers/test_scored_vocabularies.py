"""tokenizer.json in the place of a tokenizer.model: llama.cpp makes the token ids that the library makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import llama_tokenizer
import pytest
from rank_cases import TEXTS
from test_tokenizer_golden import SHARED
from tokenizers import Tokenizer

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers.sentencepiece_model import read_pieces
from quantize_cli.tokenizers.vocabularies import ERNIE, GEMMA_SPM, MINICPM, PHI3
from quantize_cli.tokenizers.vocabulary import Vocabulary, read_vocabulary

FILES = ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
@pytest.mark.parametrize(
    ("vocabulary", "name", "size"),
    [
        (MINICPM, "llama2", 32000),
        (PHI3, "phi3-mini", 32064),
        (ERNIE, "mistral-7b-v0.3", 32768),
        pytest.param(GEMMA_SPM, "gemma3", 262208, marks=pytest.mark.slow),
    ],
)
def test_ids_equal_the_librarys(vocabulary: Vocabulary, name: str, size: int, tmp_path: Path):
    folder = SHARED / "tokenizers" / name
    for file in FILES:
        if (folder / file).exists():
            (tmp_path / file).symlink_to((folder / file).resolve())
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": size}))
    found = read_vocabulary(vocabulary, FolderSidecars(tmp_path), {"vocab_size": size})
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # llama.cpp reads special tokens as text here, and joins long runs of spaces from the left, as SentencePiece does
    texts = [text for text in TEXTS if "<s>" not in text and not text.startswith(" \t")]
    expected = [library.encode(text, add_special_tokens=False).ids for text in texts]
    assert llama_tokenizer.token_ids(found.fields, texts, tmp_path / "vocabulary.gguf") == expected


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")
def test_pieces_equal_those_of_the_tokenizer_model(tmp_path: Path):
    folder = SHARED / "tokenizers" / "mistral-7b-v0.3"
    (tmp_path / "tokenizer.json").symlink_to((folder / "tokenizer.json").resolve())
    found = read_vocabulary(MINICPM, FolderSidecars(tmp_path), {"vocab_size": 32768})
    held = {field.key: field.value for field in found.fields}
    names = ("tokens", "scores", "token_type")
    rows = list(zip(*(held[f"tokenizer.ggml.{name}"] for name in names), strict=True))
    pieces = read_pieces((folder / "tokenizer.model.v3").read_bytes())
    assert len(rows) == len(pieces)
    assert rows == [tuple(piece) for piece in pieces]
