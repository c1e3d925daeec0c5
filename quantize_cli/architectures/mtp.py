"""Layers that only predict further tokens (MTP), as Qwen stores them: beside the others, under `mtp.`."""

from __future__ import annotations

import re

from quantize_cli.architectures.family import Naming, Part
from quantize_cli.architectures.model import MAX_LAYERS, Model
from quantize_cli.errors import CheckpointError

_LAYER = re.compile(r"^(?:model\.)?mtp\.layers\.(\d{1,4})\.")


def _of_text_layers(match: re.Match[str], model: Model) -> str | None:
    return match.string if int(match[1]) < model.layers else None


#: For families whose MTP layers, which stand behind the others, llama.cpp cannot run.
leave_out_mtp = Naming(r"^model\.layers\.(\d{1,9})\.", _of_text_layers)

#: Tensors of the whole block -> what the name table calls them in its first layer.
_BLOCK_NAMES = {
    "fc": "eh_proj",
    "pre_fc_norm_embedding": "enorm",
    "pre_fc_norm_hidden": "hnorm",
    "norm": "shared_head.norm",
}


def mtp_layers(model: Model) -> int:
    """Return how many MTP layers there are: what config.json says, or else what the tensors' names tell.

    Raises:
        CheckpointError: there would be more of them than any model has.
    """
    told = model.config.natural("mtp_num_hidden_layers") or 0
    found = (int(match[1]) + 1 for name in model.infos if (match := _LAYER.match(name)))
    layers = told or max(found, default=0)
    if layers > MAX_LAYERS:
        raise CheckpointError(f"{model.config.where} leads to {layers} MTP layers: download it again.")
    return layers


def _in_layer(match: re.Match[str], model: Model) -> str:
    return f"model.layers.{model.layers + int(match[1])}.{match[2]}"


def _of_block(match: re.Match[str], model: Model) -> str:
    name = _BLOCK_NAMES.get(match[1])
    return match.string if name is None else f"model.layers.{model.layers}.{name}.{match[2]}"


#: GGUF tensors of an MTP layer beside those of a layer of full attention.
MTP = Part(
    (
        "nextn.eh_proj.weight",
        "nextn.enorm.weight",
        "nextn.hnorm.weight",
        "nextn.embed_tokens.weight",
        "nextn.shared_head_head.weight",
        "nextn.shared_head_norm.weight",
    )
)

MTP_NAMINGS = (
    Naming(r"^(?:model\.)?mtp\.layers\.(\d{1,4})\.(.+)$", _in_layer),
    Naming(r"^(?:model\.)?mtp\.([^.]+)\.([^.]+)$", _of_block),
)
