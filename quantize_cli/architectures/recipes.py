"""Checkpoint tensors -> recipes of GGUF tensors, each one checked against the family's layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from gguf import get_tensor_name_map

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.family import Dimensions, Family
from quantize_cli.checkpoints.base import FLOAT_DTYPES, TensorInfo
from quantize_cli.errors import CheckpointError, UnsupportedError

#: Buffers that old versions of transformers saved beside the weights.
IGNORED_SUFFIXES = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"


def tensor_recipes(
    family: Family, config: Config, dimensions: Dimensions, infos: Mapping[str, TensorInfo]
) -> tuple[TensorRecipe, ...]:
    """Recipes in the reference's order: computed tensors first, then the checkpoint's in file order.

    Raises UnsupportedError for a tensor that the family does not know or whose dtype has no weights, CheckpointError
    for one whose shape contradicts config.json and for one that is missing.
    """
    sources = _named(family, config, dimensions, infos)
    stored = tuple(_recipe(family, config, dimensions, name, info) for name, info in sources.items())
    for name in _required(family, config, dimensions, sources):
        if name not in sources:
            raise CheckpointError(_missing(name, config))
    return family.computed(config, dimensions) + stored


def _named(
    family: Family, config: Config, dimensions: Dimensions, infos: Mapping[str, TensorInfo]
) -> dict[str, TensorInfo]:
    """GGUF name -> source, in file order."""
    names = get_tensor_name_map(family.architecture, dimensions.layers)
    sources: dict[str, TensorInfo] = {}
    for info in infos.values():
        if info.name.endswith(IGNORED_SUFFIXES):
            continue
        name = names.get_name(info.name, try_suffixes=(".weight", ".bias"))
        if name is None or _slot_name(name) not in family.layout:
            raise UnsupportedError(_unexpected(info, family, config))
        if name in sources:
            raise CheckpointError(
                f"{info.file} holds {info.name}, but {sources[name].name} of {sources[name].file} is the same tensor: "
                "remove one of them."
            )
        sources[name] = info
    if _tied(config) and EMBEDDING not in sources and OUTPUT in sources:
        # Tied weights are one tensor, which some tools save under the output layer's name alone.
        return {EMBEDDING if name == OUTPUT else name: info for name, info in sources.items()}
    return sources


def _recipe(family: Family, config: Config, dimensions: Dimensions, name: str, info: TensorInfo) -> TensorRecipe:
    slot = family.layout[_slot_name(name)]
    shape = slot.shape(dimensions)
    if info.shape != shape:
        raise CheckpointError(
            f"{info.file} holds {info.name} with shape {list(info.shape)}, but config.json makes it {list(shape)}: "
            "they are not of the same model."
        )
    if info.dtype not in FLOAT_DTYPES:
        raise UnsupportedError(
            f"{info.file} holds {info.name} as {info.dtype}, but weights must be {', '.join(FLOAT_DTYPES)}"
            f"{_quantization(config)}."
        )
    transform = slot.transform(dimensions) if slot.transform else None
    return TensorRecipe(name, shape, (info.name,), transform)


def _required(
    family: Family, config: Config, dimensions: Dimensions, sources: Mapping[str, TensorInfo]
) -> Iterator[str]:
    # Embedding models are saved from the base class: their tensors lack its attribute's name, and they have no head.
    headless = EMBEDDING in sources and not sources[EMBEDDING].name.startswith("model.")
    for name, slot in family.layout.items():
        if slot.required and not (name == OUTPUT and (_tied(config) or headless)):
            numbers: Iterable[int] = range(dimensions.layers) if "{bid}" in name else (0,)
            yield from (name.format(bid=number) for number in numbers)


def _slot_name(name: str) -> str:
    return re.sub(r"^blk\.\d+\.", "blk.{bid}.", name)


def _tied(config: Config) -> bool:
    return config.get("tie_word_embeddings") is True


def _missing(name: str, config: Config) -> str:
    if name == OUTPUT:
        return (
            f"{config.folder} lacks lm_head.weight, while config.json does not tie it to the embedding: download the "
            "missing file, or set tie_word_embeddings to true if it is the embedding."
        )
    return f"{config.folder} lacks the tensor that becomes {name}: the download is incomplete."


def _unexpected(info: TensorInfo, family: Family, config: Config) -> str:
    return (
        f"{info.file} holds {info.name!r:.200}, which has no place in a {family.architecture.name} GGUF file"
        f"{_quantization(config)}."
    )


def _quantization(config: Config) -> str:
    """A hint at the likely reason why tensors are not what the family's layout expects."""
    method = config.section("quantization_config").get("quant_method")
    return f" (config.json says the checkpoint is quantized already, by {method!r:.40})" if method else ""
