"""One small model as files with digests and without, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_factory import PRE_TOKENIZER

from quantize_cli import quantize

OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 1}


@pytest.fixture(scope="session")
def made(llama, tmp_path_factory) -> Path:
    """A folder with the model in Q8_0: whole, without provenance, and in two parts."""
    folder = tmp_path_factory.mktemp("verified")
    quantize(llama, "q8_0", folder / "whole.gguf", **OPTIONS)
    quantize(llama, "q8_0", folder / "plain.gguf", no_provenance=True, **OPTIONS)
    quantize(llama, "q8_0", folder / "parts.gguf", split_max_size="1M", **OPTIONS)
    return folder
