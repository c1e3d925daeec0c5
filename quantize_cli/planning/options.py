"""The options of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from quantize_cli.gguf_file.fields import Field
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.mixes.overrides import TypeOverrides
from quantize_cli.planning.budget import Budget
from quantize_cli.planning.method_fields import PlannedMethod
from quantize_cli.sensitivity.model import Calibration


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """llama-quantize's options with its meaning, and some of our own."""

    overrides: TypeOverrides = field(default_factory=TypeOverrides)
    importance: ImportanceMatrix | None = field(default=None, compare=False)
    #: --include-weights or --exclude-weights, and a text that no entry of the importance matrix has
    unmatched_weights: tuple[tuple[str, str], ...] = ()
    metadata: tuple[Field, ...] = ()  #: fields to set, which replace those of the source
    prune_layers: frozenset[int] = frozenset()  #: layers to leave out
    allow_requantize: bool = False  #: quantize what is quantized already
    no_fallback: bool = False  #: refuse a tensor whose rows are not whole blocks of its type
    keep_split: bool = False  #: as many files as the source has, each with the same tensors
    split_max_size: int | None = None  #: most bytes of tensors in a file; a larger tensor is alone in its file
    budget: Budget | None = None  #: what the file may take, in a format's place
    calibration: Calibration | None = field(default=None, compare=False)  #: it has to be of this model
    method: PlannedMethod | None = None  #: what rounds the tensors; None is the reference's own search
    #: The options as JSON text, for the file's provenance; None writes what the reference writes, and nothing else.
    recipe: str | None = None
    files: tuple[Path, ...] = field(default=(), compare=False)  #: files that the options came from
