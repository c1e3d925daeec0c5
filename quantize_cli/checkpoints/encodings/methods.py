"""Methods to quantize, by the names that config.json gives them: which tensors are codes, and how they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeGuard

from quantize_cli.checkpoints.base import Checkpoint, TensorInfo
from quantize_cli.checkpoints.encodings import gptq, mxfp4
from quantize_cli.checkpoints.encodings.bitnet import quartered_tensors
from quantize_cli.checkpoints.encodings.decoding import DecodedCheckpoint, Decodings, check_names, names_ending
from quantize_cli.checkpoints.encodings.packed import BITS, packed_tensors
from quantize_cli.checkpoints.encodings.scaled import scaled_tensors
from quantize_cli.checkpoints.sidecars import Json, Sidecars, read_object
from quantize_cli.errors import CheckpointError, QuantizeError, shown

Infos = Mapping[str, TensorInfo]
Section = Mapping[str, Json]

#: Sections of config.json that tell of a quantization; the second is what older tools call it.
_SECTIONS = ("quantization_config", "compression_config")

#: Scales of activations and of the key-value cache, which llama.cpp does not quantize to these types.
_UNUSED = (".activation_scale", "_activation_scale", ".input_scale", ".q_scale", ".k_scale", ".v_scale", ".kv_scale")

#: Kinds of compressed-tensors' codes that fill a byte.
_OF_8_BITS = ("float-quantized", "int-quantized", "naive-quantized")
#: What compressed-tensors states of a group of layers, or of its weights, that tells how to decode them.
_OF_WEIGHTS = ("format", "type", "num_bits", "strategy", "block_structure", "group_size")

#: The largest block of weights that is not taken for a mistake; 128 is usual.
_MOST = 1 << 16


def unpacked(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose codes are weights; one whose weights are plain, or cannot be decoded, is unchanged.

    Who describes the model finds codes that cannot be decoded, and asks `decodings` for the reason.
    """
    checkpoint = mxfp4.unpacked(checkpoint)
    with suppress(CheckpointError):
        found = decodings(checkpoint.infos, checkpoint.sidecars)
        return DecodedCheckpoint(checkpoint, found) if found.tensors else checkpoint
    return checkpoint


def decodings(infos: Infos, sidecars: Sidecars) -> Decodings:
    """Find the tensors of codes and what decodes them; there are none if the method, or its kind, is not read.

    Raises:
        CheckpointError: Codes do not fit their scales, or config.json.
    """
    section = _stated(sidecars)
    method = section.get("quant_method")
    find = METHODS.get(method) if isinstance(method, str) else None
    found = (find(infos, section) if find is not None else None) or Decodings(())
    check_names(infos, found)
    return found


def _stated(sidecars: Sidecars) -> Section:
    """Return what config.json states of a quantization, its text part first, and what ModelOpt's own file adds."""
    values = _read(sidecars, "config.json")
    parts = [part for part in (values.get("text_config"), values) if isinstance(part, Mapping)]
    sections = [part.get(name) for part in parts for name in _SECTIONS]
    section = next((held for held in sections if isinstance(held, Mapping) and held), {})
    apart = _read(sidecars, "hf_quant_config.json")
    producer, more = apart.get("producer"), apart.get("quantization")
    if isinstance(producer, Mapping) and isinstance(more, Mapping):
        return {"quant_method": producer.get("name"), **more, **section}
    return section


def _read(sidecars: Sidecars, name: str) -> Section:
    """Read a small file, which counts as empty if it is missing or damaged."""
    with suppress(QuantizeError):  # who describes the model tells what is wrong with config.json
        if sidecars.has(name):
            return read_object(sidecars, name)
    return {}


def _fp8(infos: Infos, section: Section) -> Decodings:
    """Find the tensors of FP8 as DeepSeek, Qwen, MiniMax and Mistral store it."""
    tensors = scaled_tensors(infos, ("_scale_inv", "_scale"), _block(section.get("weight_block_size")))
    return Decodings(tensors, names_ending(infos, *_UNUSED))


def _compressed_tensors(infos: Infos, section: Section) -> Decodings | None:
    """Find the tensors that compressed-tensors has quantized, if all are of one kind."""
    stated = of_all_groups(section)
    kind = stated.get("format", section.get("format"))
    strategy, bits, group = stated.get("strategy"), stated.get("num_bits"), stated.get("group_size")
    unused = names_ending(infos, *_UNUSED)
    if kind in _OF_8_BITS and strategy in ("tensor", "channel", "block"):
        block = _block(stated.get("block_structure")) if strategy == "block" else None
        return Decodings(scaled_tensors(infos, ("_scale",), block), unused)
    in_order = not names_ending(infos, ".weight_g_idx")
    if kind == "pack-quantized" and stated.get("type", "int") == "int" and _is_one_of(bits, BITS) and in_order:
        if strategy == "channel":
            return Decodings(packed_tensors(infos, bits, None), unused)
        if strategy == "group" and _is_length(group):
            return Decodings(packed_tensors(infos, bits, group), unused)
    return None


def of_all_groups(section: Section) -> Section:
    """Return what compressed-tensors states of weights, or nothing if groups of layers differ in it."""
    groups = section.get("config_groups")
    held = list(groups.values()) if isinstance(groups, Mapping) else []
    weights = [
        {key: {**group["weights"], **group}.get(key) for key in _OF_WEIGHTS}
        for group in held
        if isinstance(group, Mapping) and isinstance(group.get("weights"), Mapping)
    ]
    alike = len(weights) == len(held) and all(other == weights[0] for other in weights)
    return {key: value for key, value in weights[0].items() if value is not None} if weights and alike else {}


def _modelopt(infos: Infos, section: Section) -> Decodings | None:
    """Find the tensors that ModelOpt has quantized to FP8, by tensor or by row."""
    if section.get("quant_algo") not in ("FP8", "FP8_PER_CHANNEL_PER_TOKEN"):
        return None
    return Decodings(scaled_tensors(infos, ("_scale",), None), names_ending(infos, *_UNUSED))


def _gptq(infos: Infos, section: Section) -> Decodings | None:
    """Find the tensors that GPTQ has quantized; those of its first version hold one less than a zero point."""
    bits = section.get("bits")
    if not _is_one_of(bits, gptq.BITS):
        return None
    offset = int(section.get("checkpoint_format", "gptq") == "gptq")
    return Decodings(gptq.transposed_tensors(infos, bits, offset))


def _bitnet(infos: Infos, _section: Section) -> Decodings:
    """Find the tensors of BitNet."""
    return Decodings(quartered_tensors(infos))


def _block(stated: Json) -> tuple[int, int] | None:
    """Return rows and columns of a block, as config.json gives them."""
    if stated is None:
        return None
    if not isinstance(stated, list) or len(stated) != 2 or not all(map(_is_length, stated)):
        raise CheckpointError(
            f"config.json gives the blocks of quantized weights as {shown(stated)}, but they must have two sides of 1 "
            f"to {_MOST:,} weights; take the config.json of the model again."
        )
    return stated[0], stated[1]


def _is_length(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST


def _is_one_of(value: Json, numbers: tuple[int, ...]) -> TypeGuard[int]:
    """Tell whether a value is one of some integers; 4.0 and true are not."""
    return _is_length(value) and value in numbers


#: quant_method of config.json -> what finds the tensors; its answer is None for a kind that is not read.
METHODS: Mapping[str, Callable[[Infos, Section], Decodings | None]] = {
    "bitnet": _bitnet,
    "compressed-tensors": _compressed_tensors,
    "fp8": _fp8,
    "gptq": _gptq,
    "modelopt": _modelopt,
}
