"""From checkpoint tensors to recipes of GGUF tensors, which are named, stacked, changed by rules, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.architectures.family import Family, Output, Part, Rule, leave_out, rename
from quantize_cli.architectures.maps import Map
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move
from quantize_cli.architectures.names import TensorNames
from quantize_cli.architectures.shapes import contradiction
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.architectures.stored_types import stored_type
from quantize_cli.checkpoints.base import FLOAT_DTYPES, TensorInfo
from quantize_cli.errors import CheckpointError, UnsupportedError, listed, shown

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"

#: The reference's changes to the names of every text model (conversion/base.py, `filter_tensors`). They leave out old
#: buffers and everything that is not text.
COMMON_NAMINGS = (
    leave_out(r"\.attention\.(masked_bias|bias)$|\.rotary_emb\.inv_freq$"),
    leave_out(
        r"^(mlp|vit\.|vpm\.|siglip2\.|conformer\.|merger\.|resampler\.|sound_encoder\.|sound_projection\.|speech_embeddings\.)"
    ),
    leave_out(
        r"visual\.|vision\.|audio\.|talker\.|vision_|audio_|token2wav\.|code2wav\.|projector\.|pre_mm_projector_norm|image_newline|"
        r"view_seperator|patch_embed|patch_merger\.|patch_merge_mlp\.|model\.connector\."
    ),
    rename(r"e_score_correction_bias$", "e_score_correction.bias"),
    rename(r"language_model\.", ""),
)

#: One expert's tensor: stack, number, rest.
_EXPERT = re.compile(r"^(.*\.experts)\.(\d+)\.(.+)$")


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor on its way from the checkpoint to the GGUF file."""

    name: str  #: its name in the style of the checkpoint
    sources: tuple[TensorInfo, ...]
    shape: tuple[int, ...]
    moves: tuple[Move, ...] = ()
    maps: tuple[Map, ...] = ()


def tensor_recipes(family: Family, model: Model, sizes: Sizes) -> tuple[TensorRecipe, ...]:
    """Return the recipes: computed tensors first, then the checkpoint's in file order.

    Raises:
        UnsupportedError: The family does not know a tensor, or its dtype does not hold weights.
        CheckpointError: A shape contradicts config.json, or a tensor is missing or present twice.
    """
    named: dict[str, _Tensor] = {}
    unknown: list[_Tensor] = []
    allowed = {
        *family.outside,
        *family.optional_outside,
        *_of_parts((*family.parts, *family.optional), model),
    }
    names = TensorNames(family.architecture, model.blocks)
    for tensor in _ruled(_stacked(_named(family, model), model), family.rules, sizes):
        name = names.gguf_name(tensor.name)
        if name is None or name not in allowed:
            unknown.append(tensor)
        elif name in named:
            raise CheckpointError(
                f"{tensor.sources[0].file} holds {tensor.sources[0].name}, but {named[name].sources[0].name} of "
                f"{named[name].sources[0].file} is the same tensor; remove one of them."
            )
        else:
            named[name] = tensor
    if unknown:
        raise UnsupportedError(_unexpected(unknown, model))
    if model.config.get("tie_word_embeddings") is True and EMBEDDING not in named and OUTPUT in named:
        # Tied weights are one tensor, which some tools save under the output layer's name alone.
        named = {EMBEDDING if name == OUTPUT else name: tensor for name, tensor in named.items()}
    if missing := [name for name in _required(family, model, named) if name not in named]:
        raise CheckpointError(_missing(missing, model))
    _check_shapes(named, family, sizes)
    _check_dtypes(named, model)
    return family.computed(sizes) + tuple(
        TensorRecipe(
            name,
            tensor.shape,
            tuple(source.name for source in tensor.sources),
            tensor.moves,
            tensor.maps,
            stored_type=stored_type(name, len(tensor.shape)),
        )
        for name, tensor in named.items()
    )


def _named(family: Family, model: Model) -> Iterator[_Tensor]:
    """Yield the tensors of the text model, under the names that the rules and the name table know."""
    namings = [(re.compile(naming.pattern), naming.name) for naming in (*COMMON_NAMINGS, *family.namings)]
    for info in model.infos.values():
        name: str | None = info.name
        for pattern, new_name in namings:
            if name is not None and (match := pattern.search(name)):
                name = new_name(match, model)
        if name is not None:
            yield _Tensor(name, (info,), info.shape)


def _stacked(tensors: Iterable[_Tensor], model: Model) -> Iterator[_Tensor]:
    """Stack the tensors of single experts, each stack in the place of its first expert."""
    stacks: dict[str, dict[int, TensorInfo]] = {}
    singles: dict[str, _Tensor] = {}
    for tensor in tensors:
        if match := _EXPERT.match(tensor.name):
            stack = stacks.setdefault(f"{match[1]}.{match[3]}", {})
            expert = int(match[2])
            if expert in stack:
                raise CheckpointError(f"{tensor.sources[0].file} holds {shown(tensor.name)} twice; remove one of them.")
            stack[expert] = tensor.sources[0]
            singles.setdefault(f"{match[1]}.{match[3]}", tensor)
        elif tensor.name in singles:
            raise CheckpointError(f"{tensor.sources[0].file} holds {shown(tensor.name)} twice; remove one of them.")
        else:
            singles[tensor.name] = tensor
    for name, tensor in singles.items():
        yield _stack(name, stacks[name], model) if name in stacks else tensor


def _stack(name: str, experts: Mapping[int, TensorInfo], model: Model) -> _Tensor:
    missing = next((number for number in range(len(experts)) if number not in experts), None)
    if missing is not None:
        raise CheckpointError(
            f"{model.name} lacks expert {missing} of {shown(name)}, though it has {len(experts)} others; download it "
            "again."
        )
    sources = tuple(experts[number] for number in range(len(experts)))
    first = sources[0]
    odd = next((info for info in sources if (info.shape, info.dtype) != (first.shape, first.dtype)), None)
    if odd is not None:
        raise CheckpointError(
            f"{odd.file} holds {odd.name} as {odd.dtype} of shape {list(odd.shape)}, but {first.name} is {first.dtype} "
            f"of shape {list(first.shape)}, and the experts of a layer must be alike; download the model again."
        )
    return _Tensor(name, sources, (len(sources), *first.shape))


def _ruled(tensors: Iterable[_Tensor], rules: tuple[Rule, ...], sizes: Sizes) -> Iterator[_Tensor]:
    compiled = [(re.compile(rule.pattern), rule.outputs) for rule in rules]
    for tensor in tensors:
        made = [tensor]
        for pattern, outputs in compiled:
            made = [
                new
                for one in made
                for new in (
                    [_applied(one, pattern, output, sizes) for output in outputs] if pattern.search(one.name) else [one]
                )
            ]
        yield from made


def _applied(tensor: _Tensor, pattern: re.Pattern[str], output: Output, sizes: Sizes) -> _Tensor:
    shape = tensor.shape
    try:
        moves = output.moves(sizes, shape)
        for move in moves:
            shape = move.shape(shape)
        maps = output.maps(sizes, shape)
        for step in maps:
            shape = step.shape(shape)
    except ValueError as error:
        info = tensor.sources[0]
        raise CheckpointError(
            f"{info.file} holds {info.name} with shape {list(info.shape)}, which config.json contradicts ({error}); "
            "they are not of the same model, so download it again."
        ) from error
    return replace(
        tensor,
        name=tensor.name if output.name is None else pattern.sub(output.name, tensor.name),
        shape=shape,
        moves=tensor.moves + moves,
        maps=tensor.maps + maps,
    )


def _check_shapes(named: Mapping[str, _Tensor], family: Family, sizes: Sizes) -> None:
    """Compare every shape with config.json."""
    wrong = []
    for name, tensor in named.items():
        short = re.sub(r"^blk\.\d+\.", "", name)
        if (wanted := contradiction(short, tensor.shape, sizes, family.shapes)) is not None:
            info = tensor.sources[0]
            wrong.append(f"{info.name} of {info.file} has the shape {list(tensor.shape)} instead of {wanted}")
    if wrong:
        raise CheckpointError(
            f"config.json of {sizes.model.name} contradicts the shapes of tensors: {listed(wrong)}; they are not of "
            "the same model, so download it again."
        )


def _check_dtypes(named: Mapping[str, _Tensor], model: Model) -> None:
    """Refuse sources that do not hold weights as plain numbers."""
    infos = [source for tensor in named.values() for source in tensor.sources if source.dtype not in FLOAT_DTYPES]
    if infos:
        raise UnsupportedError(
            f"{model.name} holds tensors in other types than {', '.join(FLOAT_DTYPES)}{_quantization(model)}: "
            f"{listed([f'{info.name} as {info.dtype}' for info in infos])}; take the original model."
        )


def _required(family: Family, model: Model, named: Mapping[str, _Tensor]) -> Iterator[str]:
    """Yield the names of the tensors that the GGUF file must have."""
    yield from family.outside
    # Embedding models are saved from the base class: their tensors lack its attribute's name, and they have no head.
    headless = EMBEDDING in named and not named[EMBEDDING].name.startswith("model.")
    if model.config.get("tie_word_embeddings") is False and not headless:
        yield OUTPUT
    yield from _of_parts(family.parts, model)


def _of_parts(parts: Iterable[Part], model: Model) -> Iterator[str]:
    for part in parts:
        for layer in part.layers(model):
            yield from (f"blk.{layer}.{name}" for name in part.names)


def _missing(names: Sequence[str], model: Model) -> str:
    if list(names) == [OUTPUT]:
        return (
            f"{model.name} lacks lm_head.weight, and config.json does not tie it to the embedding; download the "
            "missing file, or set tie_word_embeddings to true if it is the embedding."
        )
    return f"{model.name} lacks the tensors that become {listed(names)}; the download is incomplete, so repeat it."


def _unexpected(tensors: Sequence[_Tensor], model: Model) -> str:
    names = [f"{shown(tensor.sources[0].name)} in {tensor.sources[0].file}" for tensor in tensors]
    return (
        f"{model.name} holds tensors that do not belong in a GGUF file of the architecture "
        f"{model.architecture}{_quantization(model)}: {listed(names)}; take another variant of the model, or report it."
    )


def _quantization(model: Model) -> str:
    """Return a hint at the likely reason of unexpected tensors."""
    method = model.config.section("quantization_config").get("quant_method")
    return f" (config.json states that the checkpoint is quantized already, by {method!r:.40})" if method else ""
