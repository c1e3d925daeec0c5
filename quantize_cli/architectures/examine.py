"""The tensors of a model held against its family and its configuration: what fits, and all that does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.defaults import with_defaults
from quantize_cli.architectures.families.table import BASE_CLASSES
from quantize_cli.architectures.family import Family, Part
from quantize_cli.architectures.model import Model, Weights, unread
from quantize_cli.architectures.names import TensorNames
from quantize_cli.architectures.shapes import contradiction
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.architectures.tensors import Tensor, Tensors, arranged
from quantize_cli.checkpoints.base import BLOCK_DTYPES, FLOAT_DTYPES, TensorInfo
from quantize_cli.checkpoints.sidecars import Json, Sidecars

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"

#: A GGUF name: the number of its layer, and its name there.
IN_LAYER = re.compile(r"^blk\.(\d+)\.(.+)$")


@dataclass(frozen=True)
class RawModel:
    """What a model is made of: its family, config.json, tensor headers and small files."""

    name: str  #: the checkpoint's name
    family: Family
    class_name: str  #: its class in transformers, "LlamaForCausalLM"
    values: Mapping[str, Json]  #: config.json as it stands
    sidecars: Sidecars
    infos: Mapping[str, TensorInfo]
    read: Callable[[str], Weights] = unread

    def model(self) -> Model:
        """Return the model, with defaults filled in."""
        config = Config(self.sidecars.where("config.json"), with_defaults(self.values))
        model = Model(self.name, self.family.architecture, config, self.sidecars, self.infos, self.read)
        return replace(model, extra_layers=self.family.extra_layers(model))


@dataclass(frozen=True, slots=True)
class Wrong:
    """A tensor whose shape config.json contradicts."""

    tensor: Tensor
    wanted: tuple[int | None, ...] | None  #: the shape by config.json; None for any size, and for a shape unknown


@dataclass(frozen=True)
class Findings:
    """A model's tensors by GGUF name, in file order, and everything that is wrong with them."""

    raw: RawModel
    model: Model
    sizes: Sizes
    arranged: Tensors
    named: Mapping[str, Tensor]
    unknown: tuple[Tensor, ...]  #: without a place in the GGUF file
    doubled: tuple[tuple[TensorInfo, TensorInfo], ...]  #: with the place of another one
    missing: tuple[str, ...]  #: GGUF names
    wrong: tuple[Wrong, ...]  #: with a shape that config.json contradicts
    coded: tuple[TensorInfo, ...]  #: whose dtype does not hold weights as plain numbers; the first of a stack

    @property
    def faulty(self) -> bool:
        """Whether anything is wrong."""
        own = self.unknown, self.doubled, self.missing, self.wrong, self.coded
        return any(own) or any((self.arranged.empty, self.arranged.lacking, self.arranged.uneven))


def examine(raw: RawModel) -> Findings:
    """Hold a model's tensors against its family and its configuration; `faulty` tells whether all fits.

    Raises:
        CheckpointError: config.json lacks sizes, or contradicts itself.
    """
    family, model = raw.family, raw.model()
    sizes = Sizes(model, family.sizes)
    for symbol in family.needed:
        sizes.known(symbol)
    tensors = arranged(family, model, sizes)
    allowed = {
        *family.outside,
        *family.optional_outside,
        *of_parts((*family.parts, *family.optional), model),
    }
    names = TensorNames(family.architecture, model.blocks)
    named: dict[str, Tensor] = {}
    unknown = []
    doubled = tensors.doubled.copy()
    for tensor in tensors.tensors:
        name = gguf_name(names, tensor.name) or tensor.name  # a rule may give the GGUF name itself
        if name not in allowed:
            unknown.append(tensor)
        elif name in named:
            doubled.append((named[name].sources[0], tensor.sources[0]))
        else:
            named[name] = tensor
    if model.config.get("tie_word_embeddings") is True and EMBEDDING not in named and OUTPUT in named:
        # Tied weights are one tensor, which some tools save under the output layer's name alone.
        named = {EMBEDDING if name == OUTPUT else name: tensor for name, tensor in named.items()}
    return Findings(
        raw,
        model,
        sizes,
        tensors,
        named,
        tuple(unknown),
        tuple(doubled),
        missing=tuple(name for name in _required(raw, model, named) if name not in named),
        wrong=tuple(_wrong(named, family, sizes)),
        coded=tuple(
            info for tensor in named.values() if (info := tensor.sources[0]).dtype not in (*FLOAT_DTYPES, *BLOCK_DTYPES)
        ),
    )


def gguf_name(names: TensorNames, name: str) -> str | None:
    """Return a tensor's GGUF name; base classes are saved without the `model.` that the name table knows."""
    return names.gguf_name(name) or names.gguf_name(f"model.{name}")


def of_parts(parts: Iterable[Part], model: Model) -> Iterator[str]:
    """Yield the GGUF names of parts of layers."""
    for part in parts:
        for layer in part.layers(model):
            yield from (f"blk.{layer}.{name}" for name in part.names)


def _required(raw: RawModel, model: Model, named: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield the names of the tensors that the GGUF file must have."""
    yield from raw.family.outside
    # Embedding models are saved from the base class: their tensors lack its attribute's name, and they have no head.
    headless = raw.class_name in BASE_CLASSES or (EMBEDDING in named and not named[EMBEDDING].name.startswith("model."))
    has_head = OUTPUT in raw.family.optional_outside and not headless
    if model.config.get("tie_word_embeddings") is False and has_head:
        yield OUTPUT
    yield from of_parts(raw.family.parts, model)


def _wrong(named: Mapping[str, Tensor], family: Family, sizes: Sizes) -> Iterator[Wrong]:
    """Compare every shape with config.json."""
    for name, tensor in named.items():
        in_layer = IN_LAYER.match(name)
        wanted = contradiction(in_layer[2] if in_layer else name, tensor.shape, sizes, family.shapes)
        if wanted is not None and (tensor.trouble is None or len(wanted) == len(tensor.shape)):
            yield Wrong(tensor, wanted)
        elif tensor.trouble is not None:
            yield Wrong(tensor, None)
