"""Numbers of layers: that of config.json and that of the tensors; layers and files that are missing."""

from __future__ import annotations

import re
from dataclasses import replace

from quantize_cli.architectures.diagnosis.search import fits, with_value
from quantize_cli.architectures.diagnosis.text import places
from quantize_cli.architectures.examine import IN_LAYER, Findings, gguf_name
from quantize_cli.architectures.model import LAYERS, MAX_LAYERS
from quantize_cli.architectures.names import TensorNames
from quantize_cli.errors import CheckpointError, listed

_SHARD = re.compile(r"^(.*)-(\d{1,6})-of-(\d{1,6})\.safetensors$", re.ASCII)


def missing_files(found: Findings) -> CheckpointError | None:
    """Tell of shards that are missing, by the numbers in the names of those that are here."""
    if not found.missing and not found.arranged.lacking:
        return None
    shards: dict[tuple[str, str], set[int]] = {}
    for file in sorted({info.file for info in found.raw.infos.values()}):
        if match := _SHARD.match(file):
            shards.setdefault((match[1], match[3]), set()).add(int(match[2]))
    for (stem, total), here in shards.items():
        if (lacking := int(total) - len(here)) > 0:
            number = next(number for number in range(1, int(total) + 1) if number not in here)
            first = f"{stem}-{number:0{len(total)}}-of-{total}.safetensors"
            beside = found.raw.sidecars.has(first)
            return CheckpointError(
                f"{found.raw.name} lacks the tensors of {lacking:,} of its {int(total):,} files, first of all "
                f"those of {first}; {'give the folder instead of one file' if beside else 'download them too'}."
            )
    return None


def more_layers(found: Findings) -> CheckpointError | None:
    """Tell that the tensors are of more layers than config.json states."""
    names = TensorNames(found.model.architecture, MAX_LAYERS)
    beyond = [_layer(gguf_name(names, tensor.name)) for tensor in found.unknown]
    if not beyond or any(layer is None or layer < found.model.blocks for layer in beyond):
        return None
    layers = max(layer for layer in beyond if layer is not None) + 1 - found.model.extra_layers
    infos = [info for tensor in found.unknown for info in tensor.sources]
    return _other_number(found, layers, f"tensors of later layers ({places(infos)})", "remove those tensors")


def fewer_layers(found: Findings) -> CheckpointError | None:
    """Tell that the last layers that config.json states are missing, with all of their tensors."""
    here = {layer for name in found.named if (layer := _layer(name)) is not None}
    lacking = {_layer(name) for name in found.missing}
    layers = len(here)
    if not here or not lacking or here != set(range(layers)) or lacking != set(range(layers, found.model.blocks)):
        return None
    return _other_number(found, layers, f"no tensor of layer {layers} or a later one", "download the missing files")


def lost_layers(found: Findings) -> CheckpointError | None:
    """Tell that whole layers are missing between others."""
    here = {layer for name in found.named if (layer := _layer(name)) is not None}
    lost = sorted({layer for name in found.missing if (layer := _layer(name)) is not None and layer not in here})
    if not here or not lost or lost[0] > max(here):
        return None
    return CheckpointError(
        f"{found.raw.name} lacks every tensor of layer {listed([str(layer) for layer in lost])}, but has later "
        "layers; download the missing files, or, if the model was pruned, number its layers from 0 without gaps."
    )


def _other_number(found: Findings, layers: int, what: str, otherwise: str) -> CheckpointError:
    config = found.model.config
    key = next((name for name in LAYERS if name in config.values), LAYERS[1])
    label, values = with_value(found.raw.values, key, layers)
    if fits(replace(found.raw, values=values)):
        advice = f"set {label} to {layers}, or {otherwise}"
    else:
        advice = f"take config.json and weights of the same model, or {otherwise}"
    return CheckpointError(
        f"{config.where} gives {label} {found.model.layers}, but {found.raw.name} holds {what}, so it has {layers} "
        f"layers; {advice}."
    )


def _layer(name: str | None) -> int | None:
    match = IN_LAYER.match(name) if name is not None else None
    return int(match[1]) if match else None
