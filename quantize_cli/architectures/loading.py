"""What llama.cpp demands of a model's metadata; a file that does not meet it never loads.

The reference reads hyperparameters in `load_hparams` (src/llama-model.cpp) and, for each architecture, in
`load_arch_hparams` (src/models/*.cpp). llama-quantize runs the same code before it writes a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from quantize_cli.architectures.demands import EVERY_ARCHITECTURE, Demand
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.hyperparameters import Hyperparameters
from quantize_cli.architectures.origin import Origin
from quantize_cli.architectures.reference_data import read_data
from quantize_cli.errors import CheckpointError, UnsupportedError, shown
from quantize_cli.gguf_file.fields import Field, ValueType

#: The architecture of vision and audio projectors. llama-quantize takes them without a look at their hyperparameters.
PROJECTOR = "clip"

_NAME = "general.name"

#: Names that `llama_rope_scaling_type_from_string` knows.
_SCALINGS = frozenset({"none", "linear", "yarn", "longrope"})

#: ValueType -> TYPE of --override-kv.
_OVERRIDE = {ValueType.UINT32: "int:N", ValueType.FLOAT32: "float:X", ValueType.STRING: "str:TEXT"}

#: Types of the items of arrays, which the loader converts.
_ITEMS = frozenset({ValueType.UINT32, ValueType.INT32, ValueType.BOOL})

#: Architectures for which one expert or none means none.
_ONE_EXPERT_IS_NONE = frozenset({"hunyuan-vl", "hunyuan-dense"})

#: Architectures whose attention heads together are as wide as the model.
_HEADS_SHARE_WIDTH = frozenset({"qwen2"})

#: Architectures whose rotation has sections: time, height, width.
_IN_SECTIONS = frozenset({"qwen35", "qwen35moe", "qwen4exp"})

#: Architectures in which the key does not tell what rotates: whole heads, or nothing.
_ROTATION_IS_FIXED = frozenset({"deepseek2-ocr", "glm5-next"})
#: Architectures whose rotation takes the whole head.
_WHOLE_HEAD_ROTATES = frozenset({"llama", "deci", "falcon", "llama-embed"})


#: Architecture -> what it demands beyond, or instead of, EVERY_ARCHITECTURE. Families of one architecture agree.
_DEMANDS: Mapping[str, tuple[Demand, ...]] = {family.architecture: family.demands for family in FAMILIES.values()}


def check_loads(metadata: Iterable[Field], origin: Origin) -> None:
    """Check that llama.cpp would take a file with this metadata.

    Args:
        metadata: All fields of the model.
        origin: The place that they come from.

    Raises:
        CheckpointError: A key that the loader needs is missing, or has a value that it refuses.
        UnsupportedError: llama.cpp does not know the architecture.
    """
    fields = {field.key: field for field in metadata}
    named = fields.get("general.architecture")
    if named is None or not isinstance(named.value, str):
        raise CheckpointError(
            f"{origin.where} does not name its architecture, so it is not a model; choose a language model."
        )
    if named.value not in read_data("names.json")["architectures"]:
        raise UnsupportedError(
            f"{origin.where} is of the architecture {shown(named.value)}, which llama.cpp does not know; take a model "
            "of another architecture."
        )
    if named.value != PROJECTOR:
        _Loader(Hyperparameters(fields, named.value), origin).check()


@dataclass(frozen=True, slots=True)
class _Loader:
    """The demands, held against one model."""

    model: Hyperparameters
    origin: Origin

    def check(self) -> None:
        name = self.model.fields.get(_NAME)
        if name is not None and name.type is not ValueType.STRING:
            raise self.origin.refusal(_NAME, f"{name.type.name}, but llama.cpp wants STRING")
        demands = {demand.key: demand for demand in (*EVERY_ARCHITECTURE, *_DEMANDS.get(self.model.architecture, ()))}
        for demand in demands.values():
            if self.model.held(demand.unless) is None:
                self._check(demand)
        for relation in (_experts, _prediction, _rotation, _sections, _queries, _scaling, _latent_queries):
            for key, finding in relation(self.model):
                raise self._error(key, finding)

    def _check(self, demand: Demand) -> None:
        held = self.model.held(demand.key)
        if held is None:
            if demand.required:
                raise self._missing(demand)
            return
        if held.type is ValueType.ARRAY:
            values, wanted = held.value, self.model.natural("block_count") if demand.each_layer else demand.items
            if wanted is None:
                raise self._error(demand.key, f"a list, but llama.cpp wants {demand.type.name}")
            if len(values) != wanted:
                raise self._error(demand.key, f"a list of {len(values)}, but llama.cpp wants {wanted} items")
            fits = held.item_type in _ITEMS
        else:
            values, fits = (held.value,), held.type is demand.type
        if not fits:
            raise self._error(
                demand.key, f"{(held.item_type or held.type).name}, but llama.cpp wants {demand.type.name}"
            )
        if demand.type is ValueType.STRING or demand.least is None:
            return
        if not all(demand.least <= value <= demand.most for value in values):
            raise self._error(demand.key, f"{shown(held.value)}, but llama.cpp wants {_range(demand)}")

    def _missing(self, demand: Demand) -> CheckpointError:
        key = f"{self.model.architecture}.{demand.key}"
        names = self.origin.names.get(key, ())
        what = f"does not give {' or '.join(names)}, which becomes {key}" if names else f"leads to a file without {key}"
        advice = f", or set it with --override-kv {key}={_OVERRIDE[demand.type]}" if demand.items is None else ""
        return CheckpointError(
            f"{self.origin.where} {what}, and llama.cpp does not load a {self.model.architecture} model without it; "
            f"correct the file{advice}."
        )

    def _error(self, key: str, finding: str) -> CheckpointError:
        return self.origin.refusal(f"{self.model.architecture}.{key}", finding)


#: Checks that two or more keys agree: yields a key, its value, and what llama.cpp wants.
_Findings = Iterator[tuple[str, str]]
_Relation = Callable[[Hyperparameters], _Findings]


def _range(demand: Demand) -> str:
    return f"{demand.least:g} or more" if demand.most == math.inf else f"{demand.least:g} to {demand.most:g}"


def _experts(model: Hyperparameters) -> _Findings:
    count, used = model.natural("expert_count") or 0, model.natural("expert_used_count") or 0
    groups, used_groups = model.natural("expert_group_count") or 0, model.natural("expert_group_used_count") or 0
    if model.architecture in _ONE_EXPERT_IS_NONE and count <= 1:
        count = used = 0
    if used > count:
        yield "expert_used_count", f"{used}, but the model has {count} experts"
    if count and not used:
        yield "expert_used_count", f"missing or 0, but the model has {count} experts"
    if groups and groups >= count:
        yield "expert_group_count", f"{groups}, but the model has {count} experts, and a group needs more than one"
    if groups > 1 and count % groups:
        yield "expert_group_count", f"{groups}, but the model has {count} experts, which cannot be shared evenly"
    if groups > 1 and not 0 < used_groups < groups:
        yield (
            "expert_group_used_count",
            f"{used_groups}, but llama.cpp wants 1 to {groups - 1} of {groups} groups",
        )


def _prediction(model: Hyperparameters) -> _Findings:
    layers, predicting = model.natural("block_count") or 0, model.natural("nextn_predict_layers") or 0
    if predicting > layers:
        yield "nextn_predict_layers", f"{predicting}, but the model has {layers} layers"


def _rotation(model: Hyperparameters) -> _Findings:
    heads, hidden = model.first("attention.head_count"), model.natural("embedding_length") or 0
    if not heads or model.architecture not in _DEMANDS.keys() - _ROTATION_IS_FIXED:
        return
    head = model.natural("attention.key_length")
    head = hidden // heads if head is None else head
    rotated = model.natural("rope.dimension_count")
    rotated = head if rotated is None else rotated
    if model.architecture in _WHOLE_HEAD_ROTATES and rotated != head:
        yield "rope.dimension_count", f"{rotated}, but an attention head is {head} wide, and all of it rotates"
    if rotated % 2 or not rotated:
        yield "rope.dimension_count", f"{rotated}, but llama.cpp rotates pairs, so it wants an even number over 0"
    if rotated > head:
        yield "rope.dimension_count", f"{rotated}, but an attention head is {head} wide"


def _sections(model: Hyperparameters) -> _Findings:
    key = "rope.dimension_sections"
    sections = model.items(key)
    if model.architecture in _IN_SECTIONS and not any(size > 0 for size in sections[:3]):
        yield key, f"{shown(sections)}, but llama.cpp wants one of the first three to be more than 0"


def _queries(model: Hyperparameters) -> _Findings:
    heads, head = model.first("attention.head_count") or 0, model.natural("attention.key_length")
    hidden = model.natural("embedding_length") or 0
    if model.architecture in _HEADS_SHARE_WIDTH and head is not None and heads * head != hidden:
        yield "attention.key_length", f"{head}, but llama.cpp wants {heads} heads that share {hidden}"


def _scaling(model: Hyperparameters) -> _Findings:
    name = model.text("rope.scaling.type")
    if name is not None and name not in _SCALINGS:
        yield "rope.scaling.type", f"{shown(name)}, but llama.cpp knows {', '.join(sorted(_SCALINGS))}"


def _latent_queries(model: Hyperparameters) -> _Findings:
    """Check DeepSeek's rank of queries, which llama.cpp does not look for in models that it takes for light ones."""
    layers, vocabulary = model.natural("block_count"), model.natural("vocab_size")
    light = layers in (26, 27) or (layers == 48 and vocabulary == 128256)
    rank = model.natural("attention.q_lora_rank")
    if model.architecture == "deepseek2" and not light and rank is None:
        yield "attention.q_lora_rank", f"missing, but llama.cpp wants it in a model of {layers} layers"
