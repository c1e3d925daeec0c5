"""Layers that only predict further tokens (MTP), which Qwen stores beside the others, under `mtp.`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantize_cli.architectures.family import Naming, Part
from quantize_cli.architectures.model import MAX_LAYERS, Model
from quantize_cli.errors import CheckpointError

_LAYER = re.compile(r"^(?:model\.)?mtp\.layers\.(\d{1,4})\.")


def _of_text_layers(match: re.Match[str], model: Model) -> str | None:
    """Return None for an MTP layer; another later layer stays, so that a num_hidden_layers too small is refused."""
    predicts = int(match[1]) >= model.layers and f"{match[0]}eh_proj.weight" in model.infos
    return None if predicts else match.string


#: For families whose MTP layers follow the others and cannot run in llama.cpp.
leave_out_mtp = Naming(r"^(?:model\.)?layers\.(\d{1,9})\.", _of_text_layers)

#: Tensors of the whole block -> their names in its first layer, for the name table.
_BLOCK_NAMES = {
    "fc": "eh_proj",
    "pre_fc_norm_embedding": "enorm",
    "pre_fc_norm_hidden": "hnorm",
    "norm": "shared_head.norm",
}


def mtp_layers(model: Model) -> int:
    """Return the number of MTP layers: that of config.json, or if it is missing, that of the tensors' names.

    transformers leaves the tensors out when it saves a model, but not their number. llama.cpp loads a file without any.

    Raises:
        CheckpointError: Tensors of some layers are missing, or there are more layers than in any model.
    """
    told, found = model.config.natural("mtp_num_hidden_layers") or 0, _stored(model)
    layers = told or found
    if layers > MAX_LAYERS:
        raise CheckpointError(
            f"{model.config.where} leads to {layers} MTP layers, but no model has more than {MAX_LAYERS} layers; "
            "download it again."
        )
    if 0 < found < told:
        raise CheckpointError(
            f"{model.config.where} gives mtp_num_hidden_layers as {told}, but {model.name} has tensors of {found}; "
            "correct the number, or repeat the download."
        )
    return layers


def appended_mtp_layers(model: Model) -> int:
    """Return the number of MTP layers that follow the others under their names, by config.json (DeepSeek, GLM).

    transformers leaves the tensors out when it saves a model, but not their number. llama.cpp loads a file without any.
    """
    return model.config.natural("num_nextn_predict_layers") or 0


def stored_appended_layers(model: Model) -> Iterable[int]:
    """Return the numbers of the MTP layers that follow the others, and whose tensors are there."""
    numbers = range(model.layers, model.layers + model.extra_layers)
    names = {name[name.rfind("layers.") :] for name in model.infos if name.endswith(".eh_proj.weight")}
    return [number for number in numbers if f"layers.{number}.eh_proj.weight" in names]


def _stored(model: Model) -> int:
    return max((int(match[1]) + 1 for name in model.infos if (match := _LAYER.match(name))), default=0)


def stored_mtp_layers(model: Model) -> Iterable[int]:
    """Return the numbers of the MTP layers whose tensors are there."""
    return range(model.layers, model.layers + min(_stored(model), model.extra_layers))


def _in_layer(match: re.Match[str], model: Model) -> str:
    return f"model.layers.{model.layers + int(match[1])}.{match[2]}"


def _of_block(match: re.Match[str], model: Model) -> str:
    name = _BLOCK_NAMES.get(match[1])
    return match.string if name is None else f"model.layers.{model.layers}.{name}.{match[2]}"


#: GGUF tensors of an MTP layer in addition to those of a layer of full attention.
MTP = Part(("nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight"))
OWN_MTP_HEAD = Part(("nextn.embed_tokens.weight", "nextn.shared_head_head.weight", "nextn.shared_head_norm.weight"))

MTP_NAMINGS = (
    Naming(r"^(?:model\.)?mtp\.layers\.(\d{1,4})\.(.+)$", _in_layer),
    Naming(r"^(?:model\.)?mtp\.([^.]+)\.([^.]+)$", _of_block),
)
