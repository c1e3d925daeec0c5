"""The plan: everything about the output file that headers and configuration decide, before any weight is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gguf import GGML_QUANT_VERSION, GGUFValueType

from quantize_cli.architectures import describe
from quantize_cli.architectures.base import ModelDescription, TensorRecipe, Traits, Transform
from quantize_cli.checkpoints import Checkpoint, TensorInfo
from quantize_cli.formats import FORMATS
from quantize_cli.gguf_file.fields import Field
from quantize_cli.gguf_file.header import TensorEntry, encode_header, padded
from quantize_cli.mixes import Candidate, Choice, Mix, ModelTraits, choose_types

_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the output: where its bytes come from, what becomes of them, and where they go."""

    name: str
    shape: tuple[int, ...]  #: row-major
    type: str  #: GGML name, a key of FORMATS
    reason: str
    offset: int  #: from the start of the tensor data
    nbytes: int
    sources: tuple[str, ...]
    source_dtype: str
    source_bytes: int
    transform: Transform | None
    values: tuple[float, ...] | None  #: the tensor itself where it is computed from the configuration
    instead_of: str | None  #: the type that the tensor's shape ruled out

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def extra_bytes(self) -> int:
        """Bytes more than the type that the shape ruled out would have taken."""
        if self.instead_of is None:
            return 0
        return self.nbytes - round(self.weights * FORMATS[self.instead_of].bits_per_weight / 8)


@dataclass(frozen=True)
class Plan:
    """The whole output file."""

    model: str
    architecture: str
    format: str
    metadata: tuple[Field, ...]
    tensors: tuple[PlannedTensor, ...]  #: in file order
    warnings: tuple[str, ...]

    @cached_property
    def header(self) -> bytes:
        """The bytes before the tensor data, padding included; a large vocabulary takes a second to encode."""
        entries = [TensorEntry(t.name, t.shape, FORMATS[t.type].type, t.nbytes) for t in self.tensors]
        return encode_header(self.metadata, entries)

    @property
    def data_bytes(self) -> int:
        """Size of the tensor data, padding included."""
        last = self.tensors[-1]
        return last.offset + padded(last.nbytes)

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return len(self.header) + self.data_bytes

    @property
    def weights(self) -> int:
        """Number of weights in all tensors."""
        return sum(tensor.weights for tensor in self.tensors)


def make_plan(checkpoint: Checkpoint, mix: Mix, pre_tokenizer: str | None = None) -> Plan:
    """Decide every byte's place from headers alone.

    Raises:
        CheckpointError, UnsupportedError, UsageError: see `architectures.describe`.
    """
    description = describe(checkpoint, pre_tokenizer)
    tensors = tuple(_placed(_in_file_order(description.recipes), checkpoint.infos, mix, description.traits))
    return Plan(
        model=checkpoint.name,
        architecture=description.traits.architecture,
        format=mix.name,
        metadata=_final_metadata(description, mix),
        tensors=tensors,
        warnings=tuple(_warnings(tensors, mix)),
    )


def _final_metadata(description: ModelDescription, mix: Mix) -> tuple[Field, ...]:
    """llama-quantize sets these two keys anew, which moves them to the end."""
    version = Field("general.quantization_version", GGUFValueType.UINT32, GGML_QUANT_VERSION)
    file_type = Field("general.file_type", GGUFValueType.UINT32, int(mix.file_type))
    return (*description.metadata, version, file_type)


def _in_file_order(recipes: Iterable[TensorRecipe]) -> list[TensorRecipe]:
    """llama-quantize's order: tensors of no layer first, then layer by layer, by name within."""

    def key(recipe: TensorRecipe) -> tuple[int, bytes]:
        layer = _LAYER.match(recipe.name)
        return int(layer[1]) if layer else -1, recipe.name.encode()

    return sorted(recipes, key=key)


def _placed(
    recipes: list[TensorRecipe], infos: Mapping[str, TensorInfo], mix: Mix, traits: Traits
) -> Iterable[PlannedTensor]:
    offset = 0
    for recipe, choice in zip(recipes, _choices(recipes, mix, traits), strict=True):
        columns = recipe.shape[-1]
        nbytes = math.prod(recipe.shape[:-1]) * FORMATS[choice.type].row_bytes(columns)
        sources = [infos[name] for name in recipe.sources]
        yield PlannedTensor(
            name=recipe.name,
            shape=recipe.shape,
            type=choice.type,
            reason=choice.reason,
            offset=offset,
            nbytes=nbytes,
            sources=recipe.sources,
            source_dtype=sources[0].dtype if sources else "F32",
            source_bytes=sum(source.nbytes for source in sources),
            transform=recipe.transform,
            values=recipe.values,
            instead_of=choice.instead_of,
        )
        offset += padded(nbytes)


def _choices(recipes: list[TensorRecipe], mix: Mix, traits: Traits) -> Iterable[Choice]:
    candidates = [Candidate(recipe.name, recipe.shape) for recipe in recipes]
    return choose_types(
        candidates, mix, ModelTraits.of(traits.architecture, traits.layers, traits.heads, traits.kv_heads)
    )


def _warnings(tensors: tuple[PlannedTensor, ...], mix: Mix) -> Iterable[str]:
    fallen = [tensor for tensor in tensors if tensor.instead_of is not None]
    if fallen:
        extra = sum(tensor.extra_bytes for tensor in fallen)
        share = extra / (sum(tensor.nbytes for tensor in tensors) - extra)
        yield (
            f"{len(fallen)} of {len(tensors)} tensors have rows that their type's blocks do not divide, and fell back "
            f"to other types: the file is {extra:,} bytes ({share:.1%}) bigger than {mix.name} suggests."
        )
