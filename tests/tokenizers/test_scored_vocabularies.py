"""tokenizer.json in the place of a tokenizer.model: its pieces and scores are that file's."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_tokenizer_golden import SHARED

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers.sentencepiece_model import read_pieces
from quantize_cli.tokenizers.vocabularies import MINICPM
from quantize_cli.tokenizers.vocabulary import read_vocabulary


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
