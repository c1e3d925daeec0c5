"""Which files of a folder or repository hold the weights, told by their names and by the index."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from quantize_cli.checkpoints.sidecars import INDEX_NAME, Sidecars, read_object
from quantize_cli.errors import CheckpointError, QuantizeError, UnsupportedError, listed, shown

#: How the name of an index ends.
INDEX_SUFFIX = ".safetensors.index.json"

#: A file name and nothing else: no separator, no drive, no control character. Symbolic links are fine, because the
#: Hugging Face cache consists of them.
_FILE_NAME = re.compile(r"[\w.][\w .+=@()-]{0,200}\.safetensors")
_SHARD = re.compile(r"(?P<model>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")

#: The largest models in use have some 200 files.
_MAX_FILES = 10_000


class Other(NamedTuple):
    """Files that are not model*.safetensors."""

    pattern: str
    what: str
    advice: str


_SAVE = "load it in PyTorch and save it with save_pretrained, which writes safetensors"

#: What a folder without model*.safetensors may hold instead; the first match wins.
_OTHERS = (
    Other("adapter_model.*", "an adapter", "merge it into its base model and save that first"),
    Other("model_index.json", "a pipeline of several models, as diffusers saves it", "choose a language model"),
    Other("diffusion_pytorch_model*", "a diffusion model", "choose a language model"),
    Other("consolidated*", "Mistral's or Meta's own layout", "take the model's Hugging Face layout"),
    Other("*.safetensors", "", "give the path of that file, after a download if it is on the Hub"),
    Other("*.gguf", "", "give the path of that file, after a download if it is on the Hub"),
    Other("*.bin", "PyTorch's format", _SAVE),
    Other("*.bin.index.json", "PyTorch's format", _SAVE),
    Other("*.pth", "PyTorch's format", _SAVE),
    Other("*.pt", "PyTorch's format", _SAVE),
    Other("*.ckpt", "PyTorch's or TensorFlow's format", _SAVE),
    Other("*.h5", "TensorFlow's format", "take the model's safetensors files"),
    Other("*.msgpack", "Flax's format", "take the model's safetensors files"),
    Other("*.npz", "NumPy's format", "take the model's safetensors files"),
    Other("*.onnx", "ONNX's format", "take the model's safetensors files"),
)


def weight_files(names: Iterable[str], weight_map: Mapping[str, str] | None, where: str) -> list[str]:
    """List the files that hold the weights, sorted: those of the index, or model*.safetensors without an index.

    Raises:
        CheckpointError: The names without an index are those of shards that do not belong together, or are not all.
    """
    if weight_map is not None:
        files = sorted(set(weight_map.values()))
        if len(files) > _MAX_FILES:
            raise CheckpointError(
                f"The index of {where} names {len(files):,} files, but {_MAX_FILES:,} is the limit; take the model "
                "from a source you trust."
            )
        return files
    found = sorted(name for name in names if fnmatchcase(name, "model*.safetensors") and "/" not in name)
    sets: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in found:
        if shard := _SHARD.fullmatch(name):
            sets[shard["model"], shard["count"]].append(name)
    if len(sets) > 1:
        raise CheckpointError(
            f"{where} has shards of several models ({listed([held[0] for held in sets.values()])}) and does not have "
            f"{INDEX_NAME}; remove those that do not belong to the model, or download the index."
        )
    lost = sorted({name for (first, *_) in sets.values() for name in shards_of(first)}.difference(found))
    if lost:
        raise CheckpointError(
            f"{where} is not complete: {listed(lost)} {'is' if len(lost) == 1 else 'are'} missing; finish the download."
        )
    return found


def shards_of(name: str) -> list[str]:
    """List the names of all shards of which `name` is one; it is the only one if it is not a shard's name."""
    shard = _SHARD.fullmatch(name)
    if shard is None:
        return [name]
    count = int(shard["count"])
    return [f"{shard['model']}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)] or [name]


def read_index(sidecars: Sidecars, index: str = INDEX_NAME) -> dict[str, str] | None:
    """Read the `weight_map` of the index, tensor name -> name of a file beside it; return None without an index.

    Raises:
        CheckpointError: The index is damaged, or names files elsewhere.
    """
    if not sidecars.has(index):
        return None
    where = sidecars.where(index)
    weight_map = read_object(sidecars, index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(f"{where} does not have a weight_map; download it again.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _FILE_NAME.fullmatch(shard):
            raise CheckpointError(
                f"{where} places tensor {shown(name)} in {shown(shard)}, which is not the name of a .safetensors file "
                "beside it; take the model from a source you trust."
            )
    return weight_map


def other_weights(names: Sequence[str], where: str) -> QuantizeError | None:
    """Return the refusal of a folder or repository that has other files of weights; None if it has not."""
    for other in _OTHERS:
        found = sorted(name for name in names if fnmatchcase(name, other.pattern))
        if found:
            what = f", {other.what}" if other.what else ""
            advice = other.advice if len(found) == 1 else other.advice.replace("that file", "one of them")
            return UnsupportedError(f"{where} does not hold model*.safetensors, only {listed(found)}{what}; {advice}.")
    return None
