"""What is known of a model as one versioned value; docs/inspect.md describes it as JSON.

`SCHEMA_VERSION` grows by one whenever a field changes its meaning or goes away; new fields alone do not change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from quantize_cli.errors import QuantizeError
from quantize_cli.planning.format_sizes import FormatSize
from quantize_cli.version import GENERATOR

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Source:
    """The place of the model."""

    location: str  #: the path or Hub id that was given
    repository: str | None  #: Hub id, "org/name"; None if the files do not come from the Hub's cache
    commit: str | None  #: 40 hex digits; None if it is not known
    files: int  #: files of weights
    missing_bytes: int  #: bytes of weights that a run would download


@dataclass(frozen=True, slots=True)
class DtypeFacts:
    """The tensors of one dtype, all that the files have."""

    dtype: str  #: safetensors' name or GGML's
    tensors: int
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters: of the tensors that a GGUF file gets, or of all tensors if the model is refused."""

    total: int
    active: int | None  #: those that take part in one token; None if the number of used experts is not known
    experts: int | None  #: those in experts of which a router chooses some; None if not known
    mtp: int | None  #: those in layers that only predict further tokens, which are not active; None if not known


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The sizes that users ask for; None is for not known, and a tuple has a value for each layer."""

    context_length: int | tuple[int, ...] | None = None
    layers: int | None = None  #: without MTP layers
    mtp_layers: int = 0  #: layers that only predict further tokens, by the GGUF file's metadata
    embedding_length: int | tuple[int, ...] | None = None
    feed_forward_length: int | tuple[int, ...] | None = None
    heads: int | tuple[int, ...] | None = None
    kv_heads: int | tuple[int, ...] | None = None
    experts: int | tuple[int, ...] | None = None
    experts_used: int | tuple[int, ...] | None = None
    experts_shared: int | tuple[int, ...] | None = None
    vocabulary: int | None = None  #: number of tokens


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """The tokenizer as the GGUF file names it."""

    model: str  #: tokenizer.ggml.model
    kind: str  #: what that means
    pre_tokenizer: str | None  #: tokenizer.ggml.pre
    #: What told the pre-tokenizer: "hash", "hash without added tokens", "structure", "user", or "file" for what is a
    #: GGUF file; None if the kind of tokenizer fixes it.
    recognised_by: str | None


@dataclass(frozen=True, slots=True)
class Quantization:
    """The quantization of the source, by what its files state."""

    method: str | None  #: quant_method of config.json
    settings: Mapping[str, bool | int | float | str]  #: the plain values beside it
    types: tuple[str, ...]  #: block types of its tensors
    format: str | None  #: that of a GGUF file, by its general.file_type


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything that `inspect` finds."""

    model: str  #: the checkpoint's name
    source: Source
    class_name: str | None  #: of transformers, by config.json
    architecture: str | None  #: GGUF name
    parameters: Parameters | None
    hyperparameters: Hyperparameters
    tokenizer: TokenizerFacts | None
    quantization: Quantization | None  #: None if the files do not state any
    dtypes: tuple[DtypeFacts, ...]  #: most bytes first
    formats: tuple[FormatSize, ...]  #: largest file first
    notes: tuple[str, ...]  #: sentences for the user
    refusal: QuantizeError | None = field(default=None, compare=False)  #: why the model cannot be converted

    def to_dict(self) -> dict[str, Any]:
        """Return the object that docs/inspect.md describes."""
        facts = {held: getattr(self, held) for held in self.__slots__ if held != "refusal"}
        return {
            "schema_version": SCHEMA_VERSION,
            "generator": GENERATOR,
            **{name: _plain(value) for name, value in facts.items()},
            "refusal": None if self.refusal is None else str(self.refusal),
        }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
