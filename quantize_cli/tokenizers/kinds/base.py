"""The interface of a kind of vocabulary: whether it applies, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.special_tokens import SpecialTokens
from quantize_cli.tokenizers.token_types import TokenType


@dataclass(frozen=True, slots=True)
class Tokens:
    """A vocabulary as a GGUF file holds it; `tokens`, `types` and `scores` have one entry a token id."""

    model: str  #: tokenizer.ggml.model
    pre: str | None  #: tokenizer.ggml.pre, unless the model fixes it
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float] | Sequence[int] | None = None  #: integers are stored as INT32
    merges: Sequence[str] = ()
    space_prefix: bool | None = None  #: tokenizer.ggml.add_space_prefix, if it comes right behind the vocabulary
    special: SpecialTokens | None = None  #: of the kind's own file, in place of what the JSON files tell
    id_limit: int | None = None  #: ids of special tokens from here on are left out
    origins: Mapping[int, str] = field(default_factory=dict)  #: files of the tokens that the kind's own file lacks
    notes: tuple[str, ...] = ()  #: sentences for the user
    recognised_by: str | None = None  #: what told `pre`, if it was recognised


@dataclass(frozen=True, slots=True)
class Kind:
    """A way in which checkpoints store a vocabulary."""

    file: str  #: the file that a user has to add for it
    applies: Callable[[Source], bool]
    read: Callable[[Source], Tokens]
    has_pre_tokenizer: bool = False  #: whether the user may choose the pre-tokenizer
