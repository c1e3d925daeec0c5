"""Tokenizer files of a checkpoint folder -> GGUF tokenizer metadata, as the reference converter writes it.

One file a tokenizer kind; the table below says which kinds a family tries, in which order, and what it adds before and
after. A new family is a row, a new kind one file and its name in the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from gguf import GGUFWriter

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.tokenizers import families
from quantize_cli.tokenizers.files import TokenizerFiles
from quantize_cli.tokenizers.kinds import bpe, llama_bpe, sentencepiece
from quantize_cli.tokenizers.pre_tokenizers import check_name


class Scheme(Enum):
    """Which order of attempts a model family uses."""

    BPE = "bpe"
    LLAMA = "llama"
    QWEN2 = "qwen2"


class Kind(Protocol):
    """A way to store a vocabulary: one module each."""

    NAME: str
    TAKES_PRE_TOKENIZER: bool

    def applies(self, files: TokenizerFiles) -> bool:
        """Whether the folder holds such a tokenizer."""
        ...

    def add(self, writer: GGUFWriter, files: TokenizerFiles, vocab_size: int | None, pre_tokenizer: str | None) -> None:
        """Add the vocabulary, then the special tokens."""
        ...


Step = Callable[[GGUFWriter, TokenizerFiles], None]


@dataclass(frozen=True)
class _Steps:
    kinds: tuple[Kind, ...]  #: the first that applies is used
    before: tuple[Step, ...] = ()
    after: Mapping[int, Step] = field(default_factory=dict)  #: by vocab_size of config.json


_SCHEMES: dict[Scheme, _Steps] = {
    Scheme.BPE: _Steps(kinds=(bpe,)),
    Scheme.QWEN2: _Steps(kinds=(sentencepiece, bpe)),
    Scheme.LLAMA: _Steps(
        kinds=(sentencepiece, llama_bpe, bpe),
        before=(families.refuse_foreign_llama, families.add_space_prefix),
        after={32016: families.add_codellama_infill, 49152: families.add_no_bos},
    ),
}

#: Vocabularies in use end near 300,000 tokens; a config.json that asks for more than this is damaged.
_MAX_VOCAB_SIZE = 1 << 24


def add_vocabulary(
    writer: GGUFWriter,
    folder: Path,
    *,
    scheme: Scheme,
    vocab_size: int | None,
    pre_tokenizer: str | None = None,
) -> None:
    """Add the `tokenizer.*` keys of the checkpoint in `folder` to `writer`, in the reference converter's order.

    Args:
        writer: Collects the keys.
        folder: Where the tokenizer files and config.json lie.
        scheme: The family's order of attempts.
        vocab_size: `vocab_size` of config.json; the vocabulary is padded up to it. None where it has none.
        pre_tokenizer: A `tokenizer.ggml.pre` name to use instead of the one found by hash.

    Raises:
        CheckpointError: A tokenizer file is missing, damaged, or contradicts config.json.
        UnsupportedError: The tokenizer is of a kind, or has a pre-tokenizer, that is not known.
        UsageError: `pre_tokenizer` is not a known name, or the tokenizer has no pre-tokenizer to choose.
    """
    if pre_tokenizer is not None:
        check_name(pre_tokenizer)
    if vocab_size is not None and not 0 < vocab_size <= _MAX_VOCAB_SIZE:
        raise CheckpointError(f"vocab_size in {folder / 'config.json'} is {vocab_size}, which no tokenizer has.")
    files = TokenizerFiles(folder)
    steps = _SCHEMES[scheme]
    for before in steps.before:
        before(writer, files)
    kind = next((kind for kind in steps.kinds if kind.applies(files)), None)
    if kind is None:
        looked_for = " and ".join(dict.fromkeys(kind.NAME for kind in steps.kinds))
        raise CheckpointError(
            f"{folder} holds no tokenizer: looked for {looked_for}; copy it there from the model's repository."
        )
    if pre_tokenizer is not None and not kind.TAKES_PRE_TOKENIZER:
        raise UsageError(
            f"--pre-tokenizer is for byte-level BPE, but {files.path(kind.NAME)} holds a SentencePiece vocabulary, "
            "which has none to choose."
        )
    kind.add(writer, files, vocab_size, pre_tokenizer)
    if vocab_size is not None and (step := steps.after.get(vocab_size)):
        step(writer, files)
