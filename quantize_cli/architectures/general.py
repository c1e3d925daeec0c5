"""The general.* metadata: who made the model, what it is called, how large it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gguf import GGUFType, GGUFValueType, GGUFWriter, Metadata, size_label

from quantize_cli.architectures.config import read_config, read_json_object, read_model_card
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field, collected_fields

#: Attribute of gguf's Metadata -> names in generation_config.json, the first one present counts.
SAMPLING = {
    "sampling_sequence": ("sequence",),
    "sampling_top_k": ("top_k",),
    "sampling_top_p": ("top_p",),
    "sampling_min_p": ("min_p",),
    "sampling_xtc_probability": ("xtc_probability",),
    "sampling_xtc_threshold": ("xtc_threshold",),
    "sampling_temp": ("temperature",),
    "sampling_penalty_last_n": ("penalty_last_n",),
    "sampling_penalty_repeat": ("penalty_repeat", "repetition_penalty"),
    "sampling_mirostat": ("mirostat",),
    "sampling_mirostat_tau": ("mirostat_tau",),
    "sampling_mirostat_eta": ("mirostat_eta",),
}

#: What a Python value must be to be written as a GGUF type.
PYTHON_TYPES: dict[GGUFValueType, tuple[type, ...]] = {
    GGUFValueType.STRING: (str,),
    GGUFValueType.INT32: (int,),
    GGUFValueType.UINT32: (int,),
    GGUFValueType.FLOAT32: (int, float),
}


def add_general(writer: GGUFWriter, folder: Path, name: str, parameters: int) -> None:
    """Write the general.* keys that follow general.architecture, as gguf's own heuristics derive them.

    `name` is the checkpoint's, which for a Hub snapshot is not the folder's. `parameters` counts the weights of all
    GGUF tensors. Raises CheckpointError where the model card or generation_config.json holds values of wrong types.
    """
    metadata = _from_card(folder, name, parameters)
    for attribute, names in SAMPLING.items():
        sampling = _generation_config(folder)
        setattr(metadata, attribute, next((sampling[key] for key in names if key in sampling), None))
    if metadata.name is None:
        metadata.name = name
    if metadata.size_label is None:
        metadata.size_label = size_label(parameters, parameters, 0, 0)
    writer.add_type(GGUFType.MODEL)
    metadata.set_gguf_meta_model(writer)
    for field in collected_fields(writer):
        _check(field, folder)
