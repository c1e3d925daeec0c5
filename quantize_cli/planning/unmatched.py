"""Options that match nothing in the model: each gets a warning, because a typing error is the likely cause."""

from __future__ import annotations

from collections.abc import Iterator

from quantize_cli.errors import listed, shown
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.mixes.base import Mix
from quantize_cli.mixes.kept import why_kept
from quantize_cli.mixes.overrides import TypeOverrides
from quantize_cli.planning.options import PlanOptions
from quantize_cli.planning.prune import Kept

_OUTPUT, _EMBEDDING = "output.weight", "token_embd.weight"


def unmatched(options: PlanOptions, mix: Mix, kept: Kept, architecture: str) -> Iterator[str]:
    """Yield a sentence for each option, or part of one, that does not change anything in this model."""
    names = [recipe.name for recipe, _ in kept.recipes]
    yield from (f"The model does not have layer {shown(layer)}, so it cannot be pruned." for layer in kept.missing)
    yield from _roles(options.overrides, set(names))
    yield from _patterns(options.overrides, mix, kept, architecture)
    yield from (
        f"{option} {shown(part)} does not match the name of any entry of the importance matrix."
        for option, part in options.unmatched_weights
    )
    if options.importance is not None:
        yield from _entries(options.importance, kept)


def _roles(overrides: TypeOverrides, names: set[str]) -> Iterator[str]:
    if overrides.output_tensor_type is not None and not names & {_OUTPUT, _EMBEDDING}:
        yield "The model does not have an output matrix, so --output-tensor-type has no effect."
    if overrides.token_embedding_type is not None and _EMBEDDING not in names:
        yield "The model does not have token embeddings, so --token-embedding-type has no effect."
    if overrides.leave_output_tensor and _OUTPUT not in names:
        yield f"The model does not have {_OUTPUT}, so --leave-output-tensor has no effect."


def _patterns(overrides: TypeOverrides, mix: Mix, kept: Kept, architecture: str) -> Iterator[str]:
    if not overrides.tensor_types:
        return
    if not GGML_TYPES[mix.default].quantized:
        yield f"{mix.name} does not quantize anything, so --tensor-type has no effect."
        return
    tried = {id(pattern): 0 for pattern, _ in overrides.tensor_types}
    used = dict(tried)
    for recipe, _ in kept.recipes:
        match = overrides.matching(recipe.name)
        if match is not None:
            tried[id(match[0])] += 1
            stays = why_kept(recipe.name, recipe.shape, architecture, leave_output=overrides.leave_output_tensor)
            used[id(match[0])] += stays is None
    for pattern, type_name in overrides.tensor_types:
        option = f"--tensor-type {shown(pattern.pattern)}={type_name.lower()}"
        if tried[id(pattern)] and not used[id(pattern)]:
            yield f"{option} has no effect, because the tensors that it matches are never quantized."
        elif not tried[id(pattern)]:
            found = any(pattern.search(recipe.name) for recipe, _ in kept.recipes)
            why = "earlier patterns match all of its tensors" if found else "its pattern does not match any tensor"
            yield f"{option} has no effect, because {why}."


def _entries(matrix: ImportanceMatrix, kept: Kept) -> Iterator[str]:
    # llama-imatrix may measure the output matrix under its own name, although the file has only the embedding.
    stray = sorted(matrix.entries.keys() - kept.names - {_OUTPUT, _EMBEDDING})
    if not stray:
        return
    if len(stray) == len(matrix.entries):
        yield f"{matrix.file} does not have importances for any tensor of this model, so it is another model's."
        return
    yield (
        f"{matrix.file} has importances for {len(stray)} tensors that this model does not have "
        f"({listed([shown(name) for name in stray])}); check that it is this model's."
    )
