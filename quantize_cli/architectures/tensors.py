"""From the tensors of a checkpoint to tensors as the name table knows them: named, stacked, changed by rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from quantize_cli.architectures.family import Family, Output, Stack, leave_out, rename
from quantize_cli.architectures.maps import Map
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.checkpoints.base import TensorInfo

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


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor on its way from the checkpoint to the GGUF file."""

    name: str  #: its name in the style of the checkpoint
    sources: tuple[TensorInfo, ...]
    shape: tuple[int, ...]
    moves: tuple[Move, ...] = ()
    maps: tuple[Map, ...] = ()
    trouble: str | None = None  #: why a rule cannot be applied to its shape; the rule has not changed the tensor then


@dataclass(slots=True)
class Tensors:
    """The tensors of a model, and what prevents some from becoming one."""

    tensors: list[Tensor] = field(default_factory=list)
    empty: list[TensorInfo] = field(default_factory=list)  #: those with a dimension of 0
    doubled: list[tuple[TensorInfo, TensorInfo]] = field(default_factory=list)  #: two of one name
    lacking: list[str] = field(default_factory=list)  #: names of experts that are missing between others
    uneven: list[tuple[TensorInfo, TensorInfo]] = field(default_factory=list)  #: experts unlike the first of the stack


def arranged(family: Family, model: Model, sizes: Sizes) -> Tensors:
    """Name, stack and change the tensors of a model; stacks are in the places of their first experts.

    Raises:
        CheckpointError: config.json lacks or contradicts the sizes that a rule needs.
    """
    result = Tensors()
    compiled = [(re.compile(rule.pattern), rule.outputs) for rule in family.rules]
    for tensor in _stacked(_named(family, model, result), family.stacks, result):
        made = [tensor]
        for pattern, outputs in compiled:
            made = [
                new
                for one in made
                for new in (
                    [_applied(one, pattern, output, sizes) for output in outputs] if pattern.search(one.name) else [one]
                )
            ]
        result.tensors += made
    return result


def _named(family: Family, model: Model, result: Tensors) -> Iterator[Tensor]:
    """Yield the tensors of the text model, under the names that the rules and the name table know."""
    namings = [(re.compile(naming.pattern), naming.name) for naming in (*COMMON_NAMINGS, *family.namings)]
    for info in model.infos.values():
        name: str | None = info.name
        for pattern, new_name in namings:
            if name is not None and (match := pattern.search(name)):
                name = new_name(match, model)
        if name is None:
            continue
        if 0 in info.shape:
            result.empty.append(info)
        else:
            yield Tensor(name, (info,), info.shape)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """The tensors of a stack by number."""

    before: str  #: the part of their names before the number
    after: str
    joined: bool
    infos: dict[int, TensorInfo] = field(default_factory=dict)


def _stacked(tensors: Iterable[Tensor], kinds: Iterable[Stack], result: Tensors) -> Iterator[Tensor]:
    """Make one tensor of the tensors of each stack."""
    compiled = [(re.compile(kind.pattern, re.ASCII), kind.joined) for kind in kinds]
    stacks: dict[str, _Numbered] = {}
    found: dict[str, Tensor] = {}
    for tensor in tensors:
        info = tensor.sources[0]
        match, joined = next(
            ((match, joined) for pattern, joined in compiled if (match := pattern.fullmatch(tensor.name))),
            (None, False),
        )
        name = f"{match[1]}.{match[3]}" if match else tensor.name
        held = found.setdefault(name, tensor)
        if match and (held is tensor or name in stacks):
            stack = stacks.setdefault(
                name, _Numbered(tensor.name[: match.start(2)], tensor.name[match.end(2) :], joined)
            )
            first = stack.infos.setdefault(int(match[2]), info)
        else:
            first = held.sources[0]
        if first is not info:
            result.doubled.append((first, info))
    for name, tensor in found.items():
        yield _stack(name, stacks[name], result) if name in stacks else tensor


def _stack(name: str, stack: _Numbered, result: Tensors) -> Tensor:
    sources = tuple(info for _, info in sorted(stack.infos.items()))
    first = sources[0]
    missing = next((number for number in range(len(sources)) if number not in stack.infos), None)
    if missing is not None:
        result.lacking.append(f"{stack.before}{missing}{stack.after}")
    result.uneven += [(info, first) for info in sources if (info.shape, info.dtype) != (first.shape, first.dtype)]
    joined = stack.joined and bool(first.shape)
    shape = (len(sources) * first.shape[0], *first.shape[1:]) if joined else (len(sources), *first.shape)
    return Tensor(name, sources, shape)


def _applied(tensor: Tensor, pattern: re.Pattern[str], output: Output, sizes: Sizes) -> Tensor:
    shape = tensor.shape
    named = replace(tensor, name=tensor.name if output.name is None else pattern.sub(output.name, tensor.name))
    try:
        if not shape:
            raise ValueError("it is a single number")
        moves = output.moves(sizes, shape)
        for move in moves:
            shape = move.shape(shape)
        maps = output.maps(sizes, shape)
        for step in maps:
            shape = step.shape(shape)
    except ValueError as error:
        return replace(named, trouble=str(error))
    return replace(named, shape=shape, moves=tensor.moves + moves, maps=tensor.maps + maps)
