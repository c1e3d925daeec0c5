"""The source of a vocabulary: the small files of a checkpoint, and the caller's choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_object, read_text
from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.sentencepiece_model import Piece, read_pieces
from quantize_cli.tokenizers.token_types import TokenType
from quantize_cli.tokenizers.tokenizer_file import (
    TOKENIZER_JSON,
    ComparedFile,
    TokenizerFile,
    compare_tokenizer,
    read_tokenizer,
)

TOKENIZER_MODEL = "tokenizer.model"


@dataclass(frozen=True)
class Source:
    """A reader of a checkpoint's tokenizer files, each at most once; a missing file is an empty object.

    Everything here is untrusted. Every method raises CheckpointError for a file that cannot be read, is too large, or
    does not hold what its name promises.
    """

    sidecars: Sidecars
    vocab_size: int | None = None  #: of config.json
    rows: int | None = None  #: of the embedding, if they are known
    pre_tokenizer: str | None = None  #: the name that the user chose
    hf_class: str | None = None  #: the tokenizer class of transformers that the family fixes
    takes_pieces: bool = True  #: whether the family takes a tokenizer.model

    @property
    def size(self) -> int | None:
        """Number of tokens that the model needs: llama.cpp wants as many as the embedding has rows."""
        return self.vocab_size if self.rows is None else self.rows

    def has(self, name: str) -> bool:
        """Tell whether the file exists."""
        return self.sidecars.has(name)

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        return self.sidecars.where(name)

    def text(self, name: str) -> str:
        """Read a UTF-8 file, which must exist."""
        return read_text(self.sidecars, name)

    def json(self, name: str) -> dict[str, Json]:
        """Read a JSON object."""
        return read_object(self.sidecars, name)

    @cached_property
    def config(self) -> Mapping[str, Json]:
        """The content of config.json."""
        return self.json("config.json")

    @cached_property
    def tokenizer_config(self) -> Mapping[str, Json]:
        """The content of tokenizer_config.json."""
        return self.json("tokenizer_config.json")

    @property
    def pieces(self) -> Sequence[Piece]:
        """The pieces of tokenizer.model; empty if the vocabulary is that of tokenizer.json."""
        return self._model[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about files that disagree, or are left out."""
        return self._model[1]

    @cached_property
    def _model(self) -> tuple[Sequence[Piece], tuple[str, ...]]:
        """Read tokenizer.model; where there is a tokenizer.json too, a damaged one is left out."""
        if not self.takes_pieces or not self.has(TOKENIZER_MODEL):
            return (), ()
        content = self.sidecars.read(TOKENIZER_MODEL)
        where = self.where(TOKENIZER_MODEL)
        try:
            return read_pieces(content), ()
        except ValueError as error:
            if not self.has(TOKENIZER_JSON):
                raise CheckpointError(f"{where} is not a SentencePiece model ({error}); download it again.") from error
            reason = f"{where} is not a SentencePiece model ({error}), so {TOKENIZER_JSON} is used without it."
            return (), (reason,)

    @property
    def tokenizer(self) -> Mapping[str, Json]:
        """The content of tokenizer.json without its vocabulary and its merges."""
        if not self.has(TOKENIZER_JSON):
            return {}
        return self.compared_file.shell if self.pieces else self.tokenizer_file.shell

    @cached_property
    def tokenizer_file(self) -> TokenizerFile:
        """tokenizer.json, which must exist, as the library reads it."""
        return read_tokenizer(self.sidecars, hf_class=self.hf_class, recognised=self.pre_tokenizer is None)

    @cached_property
    def compared_file(self) -> ComparedFile:
        """tokenizer.json, which must exist, beside tokenizer.model."""
        normal = TokenType.NORMAL
        return compare_tokenizer(self.sidecars, [p.text if p.type is normal else None for p in self.pieces])
