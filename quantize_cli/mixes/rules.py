"""The engine: tensors, a mix and what the user asks for -> types, and why. Pure.

The order of the decisions is the reference's: src/llama-quant.cpp, `llama_tensor_get_type`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.mixes.base import Candidate, Choice, Mix, Place
from quantize_cli.mixes.fallback import FALLBACKS, LAST_RESORT, fits, fitted
from quantize_cli.mixes.kept import why_kept
from quantize_cli.mixes.overrides import TypeOverrides
from quantize_cli.mixes.roles import FFN_ROLES, VALUE_ROLES, Role, role_of
from quantize_cli.mixes.traits import ModelTraits

_NO_OVERRIDES = TypeOverrides()
_LAYER = re.compile(r"blk\.(\d{1,9})")

#: Types that lose too much without an importance matrix.
_NEED_IMPORTANCE = frozenset({"IQ3_XXS", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_M", "IQ1_S"})


def choose_types(
    tensors: Sequence[Candidate],
    mix: Mix,
    model: ModelTraits,
    overrides: TypeOverrides = _NO_OVERRIDES,
    *,
    has_importance: bool = False,
) -> list[Choice]:
    """Choose the type of every tensor.

    Args:
        tensors: All tensors of the model in file order, because some rules count them.
        mix: What decides where the user does not.
        model: Facts of the model that rules ask for.
        overrides: What the user asks for.
        has_importance: Whether an importance matrix is given, which some rules ask for.

    Returns:
        A choice for each tensor, which also tells whether it needs an importance matrix.

    Raises:
        UsageError: A type does not fit a tensor's rows, and cannot be replaced.
        CheckpointError: The model has experts, and a tensor's name does not tell its layer.
    """
    return list(_choices(tensors, mix, model, overrides, has_importance))


def types_of(mix: Mix) -> set[str]:
    """Return every type that the mix can give a tensor, fallbacks included, but without those of kept tensors."""
    if not GGML_TYPES[mix.default].quantized:
        return {mix.default}
    wanted = {mix.default, mix.output, "Q8_0", *(rule.type for rule in mix.rules)}
    return wanted | {FALLBACKS[name] for name in wanted if name in FALLBACKS} | {LAST_RESORT}


def decided_by_rules(
    tensors: Sequence[Candidate], mix: Mix, model: ModelTraits, overrides: TypeOverrides = _NO_OVERRIDES
) -> set[str]:
    """Return the names of the tensors whose types neither the user nor their kind decides.

    `mix` is one whose default is a quantized type.
    """
    tied = all(role_of(tensor.name) is not Role.OUTPUT for tensor in tensors)
    return {
        tensor.name
        for tensor in tensors
        if why_kept(tensor.name, tensor.shape, model.architecture, leave_output=overrides.leave_output_tensor) is None
        and _without_rules(tensor, role_of(tensor.name), mix, overrides) is None
        and not (tied and role_of(tensor.name) is Role.TOKEN_EMBD and overrides.output_tensor_type is not None)
    }


def requires_importance(name: str, type_name: str, mix: Mix) -> bool:
    """Tell whether the reference refuses to give tensor `name` this type without an importance matrix.

    For Q2_K it does so only in the mix Q2_K_S (src/llama-quant.cpp, `tensor_requires_imatrix`).
    """
    return needs_importance(name, type_name) or (type_name == "Q2_K" and mix.name == "Q2_K_S" and not _vocabulary(name))


def needs_importance(name: str, type_name: str) -> bool:
    """Tell whether the reference refuses to do so in any mix."""
    return type_name in _NEED_IMPORTANCE and not _vocabulary(name)


def _vocabulary(name: str) -> bool:
    return role_of(name) in {Role.OUTPUT, Role.TOKEN_EMBD}


def _choices(
    tensors: Sequence[Candidate], mix: Mix, model: ModelTraits, overrides: TypeOverrides, has_importance: bool
) -> Iterator[Choice]:
    roles = [role_of(tensor.name) for tensor in tensors]
    tied = Role.OUTPUT not in roles
    values = sum(role in VALUE_ROLES for role in roles)
    seen: Counter[Role] = Counter()
    for tensor, role in zip(tensors, roles, strict=True):
        kept = why_kept(tensor.name, tensor.shape, model.architecture, leave_output=overrides.leave_output_tensor)
        if kept is not None:
            yield Choice(tensor.stored_type, kept)
            continue
        choice = _without_rules(tensor, role, mix, overrides)
        if choice is None:
            counted_as = Role.ATTN_V if role in VALUE_ROLES else role
            ordinal = seen[counted_as]
            # Only tensors that the rules decide advance the count.
            seen[counted_as] += 1
            place = Place(
                name=tensor.name,
                shape=tensor.shape,
                role=role,
                ordinal=ordinal,
                layer=_layer(tensor.name, model) if role in FFN_ROLES and model.experts > 1 else ordinal,
                count=model.layers if role in FFN_ROLES else values,
                model=model,
                has_importance=has_importance,
            )
            is_output = role is Role.OUTPUT or (tied and role is Role.TOKEN_EMBD)
            wanted = _as_output(mix, place, overrides.output_tensor_type) if is_output else _by_rules(mix, place)
            choice = fitted(wanted, tensor.name, tensor.shape[-1])
        yield replace(choice, requires_importance=requires_importance(tensor.name, choice.type, mix))


def _without_rules(tensor: Candidate, role: Role, mix: Mix, overrides: TypeOverrides) -> Choice | None:
    """Return what is decided without the mix's rules, or None where they decide."""
    matching = overrides.matching(tensor.name)
    # This table is so large that naming it goes before naming all token embeddings.
    named = matching is not None and tensor.name == "per_layer_token_embd.weight"
    if role is Role.TOKEN_EMBD and overrides.token_embedding_type is not None and not named:
        return _asked_for(overrides.token_embedding_type, tensor, "token embeddings")
    if role is Role.OUTPUT and overrides.output_tensor_type is not None:
        return _asked_for(overrides.output_tensor_type, tensor, "the output matrix")
    default = Choice(mix.default, f"{mix.name}'s default")
    if not GGML_TYPES[mix.default].quantized:
        return default
    if matching is not None:
        pattern, type_name = matching
        asked = Choice(type_name, f"asked for: {type_name} where the name matches {pattern.pattern}")
        return fitted(asked, tensor.name, tensor.shape[-1])
    if overrides.pure:
        return fitted(default, tensor.name, tensor.shape[-1])
    return None


def _asked_for(type_name: str, tensor: Candidate, what: str) -> Choice:
    """Return a type that the user asks for by the tensor's role; the reference does not check whether it fits."""
    columns, block = tensor.shape[-1], GGML_TYPES[type_name].block_size
    if not fits(type_name, columns):
        raise UsageError(
            f"{tensor.name} has rows of {columns} weights, which is not a multiple of {block}, the block size of "
            f"{type_name}; choose another type for {what}."
        )
    return Choice(type_name, f"asked for: {type_name} for {what}")


def _layer(name: str, model: ModelTraits) -> int:
    """Read the layer's number from the name, because experts of one layer may be many tensors."""
    found = _LAYER.match(name)
    if found is None or int(found[1]) >= model.layers:
        raise CheckpointError(
            f"The name of tensor {name} does not tell which of the model's {model.layers} layers it belongs to, so the "
            "checkpoint contradicts itself; download it again."
        )
    return int(found[1])


def _by_rules(mix: Mix, place: Place) -> Choice:
    for rule in mix.rules:
        if place.role in rule.roles and rule.when(place):
            return Choice(rule.type, rule.reason)
    return Choice(mix.default, f"{mix.name}'s default")


def _as_output(mix: Mix, place: Place, asked: str | None) -> Choice:
    """Choose the type of the output matrix, the most sensitive of all."""
    if asked is not None:
        return Choice(asked, f"asked for: {asked} for the output matrix, which is also the token embedding")
    block, columns = GGML_TYPES[mix.default].block_size, place.shape[-1]
    what = "token_embd is also the output matrix, which" if place.role is Role.TOKEN_EMBD else "the output matrix"
    if place.falcon:
        return Choice("Q8_0", f"{what} gets Q8_0 in Falcon models")
    if columns % block and mix.output != "Q8_0":
        reason = f"{columns} columns are not a multiple of {block}: Q8_0 instead of {mix.output}"
        return Choice("Q8_0", reason, instead_of=mix.output)
    if mix.output == mix.default:
        return Choice(mix.output, f"{mix.name}'s default")
    return Choice(mix.output, f"{what} gets more bits")
