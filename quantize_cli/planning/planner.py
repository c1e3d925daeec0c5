"""The plan: everything about the output that headers and configuration decide, before any weight is read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.description import ModelDescription, TensorRecipe
from quantize_cli.architectures.loading import check_loads
from quantize_cli.architectures.loading_tensors import check_tensors
from quantize_cli.checkpoints.base import BLOCK_DTYPES, Checkpoint, TensorInfo
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError, listed, shown
from quantize_cli.gguf_file.fields import Field, with_fields
from quantize_cli.gguf_file.types import GGML_TYPES, UseOfImportance
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.mixes.base import Candidate, Choice, Mix
from quantize_cli.planning.digest import importance_digest
from quantize_cli.planning.fitting import Tensors, plan_within
from quantize_cli.planning.metadata import final_metadata, uint32
from quantize_cli.planning.method_fields import check_original, method_fields
from quantize_cli.planning.model import Plan, PlannedFile, PlannedTensor
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.provenance import provenance_fields, with_provenance
from quantize_cli.planning.prune import LAYER, Kept, pruned
from quantize_cli.planning.split import as_in_source, by_size, whole
from quantize_cli.planning.traits import traits_of
from quantize_cli.planning.unmatched import unmatched
from quantize_cli.sensitivity.check import check_calibration

_DEFAULTS = PlanOptions()

#: What to do with weights that are quantized already.
_ORIGINAL = "take the original model"
_UNTOUCHED = "choose --format mxfp4_moe, which keeps them"

#: Tensors that llama-imatrix does not measure, unless it is told to.
_VOCABULARY = frozenset({"token_embd.weight", "output.weight"})


def make_plan(
    checkpoint: Checkpoint, mix: Mix, pre_tokenizer: str | None = None, options: PlanOptions = _DEFAULTS
) -> Plan:
    """Decide every byte's place from headers alone.

    Raises:
        CheckpointError, UnsupportedError, UsageError: See `make_plans`.
    """
    return make_plans(checkpoint, [mix], pre_tokenizer, options)[0]


def make_plans(
    checkpoint: Checkpoint, mixes: Sequence[Mix], pre_tokenizer: str | None = None, options: PlanOptions = _DEFAULTS
) -> list[Plan]:
    """Make a plan for each mix, or one within the budget; all plans have the same tensors in the same order.

    Raises:
        CheckpointError: The checkpoint's files are missing, damaged or contradict each other.
        UnsupportedError: The model is of a kind that cannot be converted, or it is quantized already.
        UsageError: The options do not fit the model; for example, an importance matrix is missing.
    """
    if options.method is not None:
        check_original(checkpoint)
    description = describe(checkpoint, pre_tokenizer)
    check_description(description, options)
    kept = pruned(in_file_order(description.recipes), options.prune_layers)
    if options.prune_layers:
        _check_pruned(description, kept, options)
    if options.calibration is not None:
        check_calibration(options.calibration, checkpoint)
    importance_sha256 = importance_digest(options.importance)
    if options.budget is None:
        plans = [_plan(checkpoint, description, kept, options, mix) for mix in mixes]
    else:
        tensors = _tensors(checkpoint, description, kept, options)
        plans = [plan_within(options.budget, tensors, partial(_plan, checkpoint, description, kept, options))]
    return [replace(plan, importance_sha256=importance_sha256) for plan in plans]


def check_description(description: ModelDescription, options: PlanOptions = _DEFAULTS) -> None:
    """Check that llama.cpp would load the model.

    Raises:
        CheckpointError, UnsupportedError: It would not.
    """
    # Like llama-quantize, prefer the fields that are set to those of the model.
    metadata = with_fields(description.metadata, options.metadata)
    check_loads(metadata, description.origin)
    check_tensors(metadata, {recipe.name: recipe.shape for recipe in description.recipes}, description.origin)


def _check_pruned(description: ModelDescription, kept: Kept, options: PlanOptions) -> None:
    """Refuse to prune a model whose metadata has a value for each layer; llama-quantize writes a file without use."""
    architecture = next(str(field.value) for field in description.metadata if field.key == "general.architecture")
    changed = (*options.metadata, uint32(f"{architecture}.block_count", kept.layers))
    try:
        check_loads(with_fields(description.metadata, changed), description.origin)
    except CheckpointError as error:
        raise UsageError(f"With --prune-layers, {error}") from error


def _tensors(checkpoint: Checkpoint, description: ModelDescription, kept: Kept, options: PlanOptions) -> Tensors:
    """Return the tensors before they have types."""
    importance = options.importance
    return Tensors(
        candidates=candidates_of([recipe for recipe, _ in kept.recipes], checkpoint.infos),
        measured_as=[old_name for _, old_name in kept.recipes],
        # Like llama-quantize, prefer the fields that are set to those of the model, and count layers before pruning.
        model=traits_of(with_fields(description.metadata, options.metadata)),
        overrides=options.overrides,
        weighted={recipe.name for recipe, old_name in kept.recipes if _is_known(importance, old_name, recipe)},
        has_importance=importance is not None,
    )


def _plan(
    checkpoint: Checkpoint,
    description: ModelDescription,
    kept: Kept,
    options: PlanOptions,
    mix: Mix,
    chosen: Mapping[str, Choice] = MappingProxyType({}),
) -> Plan:
    """Make a plan with a mix; the tensors that `chosen` names get its choices."""
    infos, importance = checkpoint.infos, options.importance
    held = _tensors(checkpoint, description, kept, options)
    candidates, model = held.candidates, held.model
    metadata = final_metadata(description, mix, options, kept.layers)
    choices = [
        chosen.get(candidate.name, choice) for candidate, choice in zip(candidates, held.choices(mix), strict=True)
    ]
    tensors = [
        _planned(recipe, choice, infos, old_name if recipe.name in held.weighted else None, candidate.stored_type)
        for (recipe, old_name), candidate, choice in zip(kept.recipes, candidates, choices, strict=True)
    ]
    check_decodable(candidates, choices)
    _check_importance(tensors, choices, mix, importance)
    _check_requantizing(tensors, options)
    if options.no_fallback:
        _check_fallbacks(tensors, mix)
    if options.keep_split:
        files = as_in_source(tensors, metadata, infos)
    elif options.split_max_size is not None:
        files = by_size(tensors, metadata, options.split_max_size)
    else:
        files = whole(tensors, metadata)
    provenance = provenance_fields(checkpoint, options, chosen=bool(chosen))
    if provenance:
        provenance += method_fields(options.method, len(tensors))
    return Plan(
        model=checkpoint.name,
        architecture=model.architecture,
        format=mix.name,
        files=tuple(_with_provenance(files, provenance)),
        warnings=(
            *description.notes,
            *unmatched(options, mix, kept, model.architecture),
            *_copy_warnings(tensors, mix),
            *_fallback_warnings(tensors, mix),
            *_importance_warnings(tensors, importance),
        ),
    )


def _with_provenance(files: Iterable[PlannedFile], provenance: tuple[Field, ...]) -> Iterator[PlannedFile]:
    """Yield the files with a trailer; the one with the model's metadata gets the provenance, which comes last."""
    for number, file in enumerate(files):
        added = provenance if number == 0 else ()
        yield replace(file, metadata=with_provenance(file.metadata, added), has_trailer=bool(provenance))


def in_file_order(recipes: Iterable[TensorRecipe]) -> list[TensorRecipe]:
    """Sort as llama-quantize does: tensors outside the layers first, then layer by layer, and by name in a layer."""

    def key(recipe: TensorRecipe) -> tuple[int, bytes]:
        layer = LAYER.match(recipe.name)
        return int(layer[1]) if layer else -1, recipe.name.encode()

    return sorted(recipes, key=key)


def candidates_of(recipes: Sequence[TensorRecipe], infos: Mapping[str, TensorInfo]) -> list[Candidate]:
    """Return the tensors before they have a type, with the type in a lossless file, which they keep without a choice.

    The reference's converter writes all matrices in one type, except some that are F32 in every file. It reads F64 as
    F32.
    """
    dtypes = {infos[name].dtype for recipe in recipes if recipe.stored_type is None for name in recipe.sources}
    matrices = dtypes.pop() if len(dtypes) == 1 and "F64" not in dtypes else "F32"
    return [Candidate(recipe.name, recipe.shape, recipe.stored_type or matrices) for recipe in recipes]


def _planned(
    recipe: TensorRecipe, choice: Choice, infos: Mapping[str, TensorInfo], importance: str | None, stored: str
) -> PlannedTensor:
    sources = [infos[name] for name in recipe.sources]
    return PlannedTensor(
        name=recipe.name,
        shape=recipe.shape,
        type=choice.type,
        reason=choice.reason,
        offset=0,
        nbytes=math.prod(recipe.shape[:-1]) * GGML_TYPES[choice.type].row_bytes(recipe.shape[-1]),
        sources=recipe.sources,
        source_dtype=sources[0].dtype if sources else "F32",
        source_bytes=_source_bytes(recipe, sources),
        moves=recipe.moves,
        maps=recipe.maps,
        rounded_to=stored if stored != "F32" and any(change.computes for change in recipe.maps) else None,
        values=recipe.values,
        instead_of=choice.instead_of,
        importance=importance,
        cost=choice.cost,
    )


def _source_bytes(recipe: TensorRecipe, sources: Sequence[TensorInfo]) -> int:
    """Return the bytes that the tensor takes in the checkpoint; a source of several tensors is shared by elements."""
    elements = sum(source.elements for source in sources)
    stored = sum(part.nbytes for source in sources for part in source.in_files)
    return stored * math.prod(recipe.shape) // max(elements, 1)


def _is_known(matrix: ImportanceMatrix | None, name: str, recipe: TensorRecipe) -> bool:
    """Tell whether the matrix has an entry for a tensor; it knows tensors by the names that they had before pruning."""
    return matrix is not None and matrix.for_tensor(name, recipe.shape) is not None


def check_decodable(candidates: Sequence[Candidate], choices: Sequence[Choice]) -> None:
    """Refuse to quantize what is not weights; llama-quantize does so when it comes to the tensor.

    Raises:
        UnsupportedError: A tensor would have to be quantized whose type does not hold weights.
    """
    refused = [
        candidate
        for candidate, choice in zip(candidates, choices, strict=True)
        if choice.type != candidate.stored_type and not GGML_TYPES[candidate.stored_type].writable
    ]
    if refused:
        types = listed([f"{shown(candidate.name)} is {candidate.stored_type}" for candidate in refused])
        raise UnsupportedError(
            f"{len(refused)} of {len(candidates)} tensors cannot be quantized, because weights cannot be decoded from "
            f"their types ({types}); take a file whose matrices are F32, F16 or BF16."
        )


def _check_importance(
    tensors: Sequence[PlannedTensor], choices: Sequence[Choice], mix: Mix, matrix: ImportanceMatrix | None
) -> None:
    """Refuse types that are too coarse without importances."""
    lacking = [
        tensor
        for tensor, choice in zip(tensors, choices, strict=True)
        if tensor.importance is None
        and (choice.requires_importance or _use_of_importance(choice.type) is UseOfImportance.REQUIRED)
    ]
    if lacking:
        found = "" if matrix is None else f", and {matrix.file} does not give them"
        raise UsageError(
            f"{mix.name} needs importances for {len(lacking)} of {len(tensors)} tensors "
            f"({listed([f'{tensor.name} as {tensor.type}' for tensor in lacking])}){found}; give an importance matrix "
            "that has them with --imatrix, or choose another format."
        )


def _check_requantizing(tensors: Sequence[PlannedTensor], options: PlanOptions) -> None:
    quantized = [
        tensor
        for tensor in tensors
        if not tensor.copied and (held := GGML_TYPES.get(tensor.source_dtype)) is not None and held.quantized
    ]
    packed = all(tensor.source_dtype in BLOCK_DTYPES for tensor in quantized)
    if quantized and not options.allow_requantize:
        raise UnsupportedError(
            f"{len(quantized)} of {len(tensors)} tensors are quantized already "
            f"({listed([f'{tensor.name} as {tensor.source_dtype}' for tensor in quantized])}), and would lose more; "
            f"{_UNTOUCHED if packed else _ORIGINAL}, or override with --allow-requantize."
        )


def _check_fallbacks(tensors: Sequence[PlannedTensor], mix: Mix) -> None:
    fallen = [tensor for tensor in tensors if tensor.instead_of is not None]
    if fallen:
        extra, share = _cost(tensors)
        raise UsageError(
            f"{mix.name} does not fit {len(fallen)} of {len(tensors)} tensors ({listed([t.name for t in fallen])}), "
            f"because their rows are not whole blocks, and other types for them would make the file {extra:,} bytes "
            f"({share:.1%}) larger; leave out --no-fallback, or choose a format with blocks of 32."
        )


def _copy_warnings(tensors: Sequence[PlannedTensor], mix: Mix) -> Iterator[str]:
    if all(tensor.unchanged for tensor in tensors):
        yield f"All tensors are copied unchanged, because they already have the types that {mix.name} gives them."


def _fallback_warnings(tensors: Sequence[PlannedTensor], mix: Mix) -> Iterator[str]:
    fallen = sum(tensor.instead_of is not None for tensor in tensors)
    if fallen:
        extra, share = _cost(tensors)
        yield (
            f"{fallen} of {len(tensors)} tensors fell back to other types, because their rows are not whole blocks of "
            f"the types that {mix.name} gives them; this makes the file {extra:,} bytes ({share:.1%}) larger."
        )


def _cost(tensors: Sequence[PlannedTensor]) -> tuple[int, float]:
    """Return the bytes that the fallbacks add, and their share of the tensors' size without fallbacks."""
    extra = sum(tensor.extra_bytes for tensor in tensors)
    return extra, extra / (sum(tensor.nbytes for tensor in tensors) - extra)


def _importance_warnings(tensors: Sequence[PlannedTensor], matrix: ImportanceMatrix | None) -> Iterator[str]:
    if matrix is None:
        return
    using = [tensor for tensor in tensors if _uses_importance(tensor)]
    missing = [tensor.name for tensor in using if tensor.importance is None]
    if missing:
        yield (
            f"{matrix.file} lacks importances for {len(missing)} of the {len(using)} tensors whose types use them: "
            f"{listed(missing)}."
        )


def _uses_importance(tensor: PlannedTensor) -> bool:
    if tensor.copied or tensor.name in _VOCABULARY:
        return False
    return _use_of_importance(tensor.type) is not UseOfImportance.NONE


def _use_of_importance(type_name: str) -> UseOfImportance:
    """Return what the type makes of importance, also for types of copied tensors that are not weights."""
    return GGML_TYPES[type_name].importance
