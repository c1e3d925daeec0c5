"""Numbers of layers: that of config.json and that of the tensors; layers and files that are missing."""

from __future__ import annotations

import re
from dataclasses import replace

from quantize_cli.architectures.diagnosis.search import fits, gives, with_value
from quantize_cli.architectures.diagnosis.text import places
from quantize_cli.architectures.examine import IN_LAYER, Findings, gguf_name
from quantize_cli.architectures.model import LAYERS, MAX_LAYERS
from quantize_cli.architectures.names import TensorNames
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.errors import CheckpointError, listed

#: A name in a checkpoint: the number of its layer. Layers that predict further tokens may be numbered apart.
_IN_STORED_LAYER = re.compile(r"^(?!(?:model\.)?mtp\.)(?:.*\.)?layers\.(\d{1,9})\.", re.ASCII)

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
    if any(_layer(gguf_name(names, tensor.name)) is None for tensor in found.unknown):
        return None
    # A layer that is not counted may take the place of one that predicts further tokens.
    pairs = [max(pair, key=_stored_layer) for pair in found.doubled]
    infos = [*pairs, *(info for tensor in found.unknown for info in tensor.sources)]
    beyond = [_stored_layer(info) for info in infos]
    if not beyond or min(beyond) < found.model.layers:
        return None
    what = f"tensors of later layers ({places(infos)})"
    return _other_number(found, max(beyond) + 1, what, "remove those tensors")


def fewer_layers(found: Findings) -> CheckpointError | None:
    """Tell that the last layers that config.json states are missing, with all of their tensors."""
    counted = range(found.model.layers)
    here = {layer for name in found.named if (layer := _layer(name)) in counted}
    lacking = {_layer(name) for name in found.missing}
    layers = len(here)
    if not here or not lacking or here != {*counted[:layers]} or lacking != {*counted[layers:]}:
        return None
    return _other_number(found, layers, f"no tensor of layer {layers} or a later one", "download the missing files")


def lost_layers(found: Findings) -> CheckpointError | None:
    """Tell that whole layers are missing between others."""
    here = {layer for name in found.named if (layer := _layer(name)) is not None and layer < found.model.layers}
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
        f"{gives(found, key)} {found.model.layers}, but {found.raw.name} holds {what}, so it has {layers} "
        f"layers; {advice}."
    )


def _stored_layer(info: TensorInfo) -> int:
    """Return the layer that a tensor's name in the checkpoint tells, or -1."""
    match = _IN_STORED_LAYER.match(info.name)
    return int(match[1]) if match else -1


def _layer(name: str | None) -> int | None:
    match = IN_LAYER.match(name) if name is not None else None
    return int(match[1]) if match else None
