"""Tensors that are missing, that are there twice, or that have no place."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.diagnosis.encodings import method
from quantize_cli.architectures.diagnosis.search import fits
from quantize_cli.architectures.diagnosis.text import counted, few, placed, places
from quantize_cli.architectures.examine import EMBEDDING, IN_LAYER, OUTPUT, Findings, gguf_name
from quantize_cli.architectures.families.table import CLASSES_OF_TYPES, FAMILIES
from quantize_cli.architectures.names import TensorNames
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, shown

#: A search through all families would take long for models of more tensors.
_MAX_TENSORS_OF_SEARCH = 10_000
#: The most parts that a prefix of names has.
_MAX_PREFIX = 4


def doubled(found: Findings) -> CheckpointError | None:
    """Tell of tensors that are there twice, under one name or under two."""
    if not found.doubled:
        return None
    pairs = [f"{placed(second)} and {placed(first)}" for first, second in found.doubled]
    return CheckpointError(
        f"{found.raw.name} holds {counted(len(pairs), 'tensor')} twice: {few(pairs, len(pairs))} are the same "
        "tensor of the model; remove one of each pair."
    )


def prefixed(found: Findings) -> UnsupportedError | None:
    """Tell that a prefix keeps the names of tensors from being known."""
    names = TensorNames(found.model.architecture, found.model.blocks)
    unknown = [tensor.name for tensor in found.unknown]
    if any(gguf_name(names, name) for name in unknown):
        return None  # they have a name in GGUF as they are, but no place in this model
    parts = unknown[0].split(".")[:_MAX_PREFIX] if unknown else []
    for length in range(1, len(parts) + 1):
        prefix = ".".join(parts[:length]) + "."
        without = [gguf_name(names, name.removeprefix(prefix)) for name in unknown if name.startswith(prefix)]
        if len(without) == len(unknown) and all(name is not None and name not in found.named for name in without):
            return UnsupportedError(
                f"{found.raw.name} holds {places([tensor.sources[0] for tensor in found.unknown])}, which a "
                f"{shown(found.raw.class_name)} has without {shown(prefix)}; remove this prefix from the names, or "
                "save the model alone with transformers."
            )
    return None


def no_text(found: Findings) -> UnsupportedError | None:
    """Tell that all tensors are of parts of a model that are not text."""
    if found.named or found.unknown:
        return None
    return UnsupportedError(
        f"{found.raw.name} holds only tensors of an image or audio part, which do not belong in the GGUF file of a "
        "text model; take the whole model."
    )


def other_class(found: Findings) -> QuantizeError | None:
    """Name the class of model_type if all tensors would fit it; among all classes, some would fit by chance."""
    if not (found.unknown or found.missing) or len(found.raw.infos) > _MAX_TENSORS_OF_SEARCH:
        return None
    name = CLASSES_OF_TYPES.get(found.model.config.text("model_type") or "")
    if name is None or (family := FAMILIES[name]) is found.raw.family:
        return None
    if not fits(replace(found.raw, family=family, class_name=name)):
        return None
    return CheckpointError(
        f"{found.model.config.where} names the class {shown(found.raw.class_name)}, which {_misfit(found)}, but all "
        f"tensors fit {name}; set architectures to the model's true class."
    )


def _misfit(found: Findings) -> str:
    if found.unknown:
        return f"does not have {places([tensor.sources[0] for tensor in found.unknown])}"
    return f"needs tensors that become {few(found.missing, len(found.missing))}"


def uneven(found: Findings) -> CheckpointError | None:
    """Tell of experts that are not like the others of their layer."""
    if not found.arranged.uneven:
        return None
    info, first = found.arranged.uneven[0]
    return CheckpointError(
        f"{found.raw.name} holds {counted(len(found.arranged.uneven), 'expert')} unlike the first of their layer: "
        f"{placed(info)} is {info.dtype} of shape {list(info.shape)}, but {placed(first)} is {first.dtype} of shape "
        f"{list(first.shape)}; save all experts in one dtype and shape."
    )


def other_kind(found: Findings) -> CheckpointError | None:
    """Tell of layers that hold the tensors of another kind of layer, such as a dense one among sparse ones."""
    names = TensorNames(found.model.architecture, found.model.blocks)
    layers = {match[1] for name in found.missing if (match := IN_LAYER.match(name))}
    matches = [IN_LAYER.match(gguf_name(names, tensor.name) or "") for tensor in found.unknown]
    if not matches or not all(match and match[1] in layers for match in matches):
        return None
    return CheckpointError(
        f"{found.model.config.where} makes layers of another kind than {found.raw.name} has: it holds "
        f"{places([tensor.sources[0] for tensor in found.unknown])} in place of the tensors that become "
        f"{few(found.missing, len(found.missing))}; take config.json and weights of the same model."
    )


def unexpected(found: Findings) -> UnsupportedError | None:
    """Tell of tensors without a place, where nothing tells more."""
    if not found.unknown:
        return None
    return UnsupportedError(
        f"{found.raw.name} holds tensors that do not belong in a GGUF file of the architecture "
        f"{found.model.architecture}{_stated(found)}: {places([tensor.sources[0] for tensor in found.unknown])}; take "
        "another variant of the model, or report it."
    )


def missing(found: Findings) -> CheckpointError | None:
    """Tell of missing tensors, where nothing tells more."""
    name = found.raw.name
    if found.missing == (OUTPUT,) and OUTPUT not in found.raw.family.outside:
        return CheckpointError(
            f"{name} lacks lm_head.weight, and config.json does not tie it to the embedding; download the missing "
            "file, or set tie_word_embeddings to true if it is the embedding."
        )
    if found.missing == (EMBEDDING,) and OUTPUT in found.named:
        return CheckpointError(
            f"{name} lacks the embedding, the tensor that becomes {EMBEDDING}, but has "
            f"{placed(found.named[OUTPUT].sources[0])}; set tie_word_embeddings to true in config.json if both are one "
            "tensor, or download the missing file."
        )
    if found.missing:
        parts = list(dict.fromkeys(match[2] for one in found.missing if (match := IN_LAYER.match(one))))
        in_every_layer = {f"blk.{layer}.{part}" for part in parts for layer in range(found.model.layers)}
        if found.model.layers > 1 and in_every_layer == set(found.missing):
            return CheckpointError(
                f"{name} lacks in every layer the tensors that become {few(parts, len(parts))}, which the class "
                f"{shown(found.raw.class_name)} of config.json has; check architectures, or save the whole model."
            )
        return CheckpointError(
            f"{name} lacks {counted(len(found.missing), 'tensor')} of the GGUF file: "
            f"{few(found.missing, len(found.missing))}; compare its files with those of the repository that it is "
            "from, or save the whole model."
        )
    if found.arranged.lacking:
        kind = "experts" if ".experts." in found.arranged.lacking[0] else "tensors of a stack"
        return CheckpointError(
            f"{name} lacks {kind} between others, the first of which would be {shown(found.arranged.lacking[0])}; "
            f"download the missing files, or number the {kind} from 0 without gaps."
        )
    return None


def _stated(found: Findings) -> str:
    stated = method(found.model)
    return "" if stated is None else f" (config.json states quant_method {shown(stated)})"
