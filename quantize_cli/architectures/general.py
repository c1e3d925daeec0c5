"""The general.* metadata: who made the model, what it is called, how large it is."""

from __future__ import annotations

import struct
from pathlib import Path

from gguf import GGUFType, GGUFWriter, Metadata, size_label

from quantize_cli.architectures.config import Config, read_generation_config, read_model_card
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.bridge import collected_fields
from quantize_cli.gguf_file.fields import Field, ValueType

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

#: How GGUF packs a number.
NUMBERS = {ValueType.INT32: "<i", ValueType.UINT32: "<I", ValueType.FLOAT32: "<f"}


def add_general(writer: GGUFWriter, config: Config, parameters: int) -> None:
    """Write the general.* keys that follow general.architecture, as gguf's own heuristics derive them.

    `parameters` counts the weights of all GGUF tensors. Raises CheckpointError where the model card or
    generation_config.json holds values of wrong types.
    """
    metadata = Metadata()
    sampling = read_generation_config(config.folder)
    for attribute, names in SAMPLING.items():
        setattr(metadata, attribute, next((sampling[name] for name in names if name in sampling), None))
    card, identity = read_model_card(config.folder), {"_name_or_path": config.text("_name_or_path")}
    writer.add_type(GGUFType.MODEL)
    try:
        # A Hub snapshot's folder is named after a commit, so the heuristics get the checkpoint's name instead of it.
        Metadata.apply_metadata_heuristic(metadata, card, identity, Path(config.name), parameters)
        metadata.name = config.name if metadata.name is None else metadata.name
        metadata.size_label = metadata.size_label or size_label(parameters, parameters, 0, 0)
        metadata.set_gguf_meta_model(writer)
        for field in collected_fields(writer):
            _check(field)
    except (TypeError, ValueError, OverflowError, struct.error) as error:
        files = " or ".join(str(config.folder / name) for name in ("README.md", "generation_config.json"))
        raise CheckpointError(f"{files} holds a value of the wrong type ({error}): correct or delete it.") from error


def _check(field: Field) -> None:
    """Raise one of the errors above where `field` could not be written."""
    items = field.value if field.type == ValueType.ARRAY else (field.value,)
    if field.type in NUMBERS:
        struct.pack(NUMBERS[field.type], field.value)
    elif not all(isinstance(item, str) for item in items):
        raise TypeError(f"{field.key} is {field.value!r:.60}")
    else:
        "".join(items).encode()  # JSON and YAML can spell what UTF-8 cannot
