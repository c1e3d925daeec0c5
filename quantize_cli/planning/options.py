"""What may be asked of a plan beside a model and a format."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantize_cli.gguf_file.fields import Field
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.mixes.overrides import TypeOverrides


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """llama-quantize's options with its meaning, and one of our own, `no_fallback`."""

    overrides: TypeOverrides = field(default_factory=TypeOverrides)
    importance: ImportanceMatrix | None = field(default=None, compare=False)
    metadata: tuple[Field, ...] = ()  #: fields to set, whatever the source says
    prune_layers: frozenset[int] = frozenset()  #: layers to leave out
    allow_requantize: bool = False  #: quantize what is quantized already
    no_fallback: bool = False  #: refuse a shape that its type's blocks do not divide
    keep_split: bool = False  #: as many files as the source has, each with the same tensors
    split_max_size: int | None = None  #: bytes of tensors in a file, at most; a tensor that has more is alone
