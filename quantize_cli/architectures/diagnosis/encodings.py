"""Weights that are quantized already: what did it, by the tensors and by config.json, and where to get the original."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from quantize_cli.architectures.diagnosis.text import telling, typed
from quantize_cli.architectures.examine import Findings
from quantize_cli.architectures.model import Model
from quantize_cli.checkpoints.base import BLOCK_DTYPES, FLOAT_DTYPES, TensorInfo
from quantize_cli.checkpoints.encodings.methods import METHODS, decodings
from quantize_cli.errors import CheckpointError, UnsupportedError, shown

_ORIGINAL = "take the repository of the same model in 16 bits"
_DEQUANTIZE = f"call dequantize() on the model in transformers and save it in 16 bits, or {_ORIGINAL}"
_STATEMENT = f"take the model's config.json again, which tells how to decode them, or {_ORIGINAL}"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a way to quantize leaves in a checkpoint."""

    by: str
    names: str | None = None  #: regular expression that a tensor's name must have
    dtypes: tuple[str, ...] = ()  #: dtypes of which a tensor must be, this or another one; empty is any
    methods: tuple[str, ...] = ()  #: `quant_method` in config.json
    remedy: str = _ORIGINAL


#: The first row that matches counts. Rows whose names mean one thing only stand before rows that need a dtype.
ENCODINGS = (
    Encoding(
        "bitsandbytes in 4 bits", r"\.quant_state\.bitsandbytes__|\.(nested_)?(absmax|quant_map)$", remedy=_DEQUANTIZE
    ),
    Encoding("bitsandbytes in 8 bits", r"\.SCB$|\.weight_format$", remedy=_DEQUANTIZE),
    Encoding("bitsandbytes", methods=("bitsandbytes",), remedy=_DEQUANTIZE),
    Encoding("compressed-tensors", r"\.weight_(packed|zero_point|shape|g_idx)$", methods=("compressed-tensors",)),
    Encoding("NVFP4", r"\.weight_scale_2$|\.weight_global_scale$"),
    Encoding("ModelOpt", methods=("modelopt",)),
    Encoding("MXFP4", r"(_|\.)blocks$", ("U8",), ("mxfp4",), remedy=_DEQUANTIZE),
    Encoding("EETQ", r"\.weight_scales$", ("I8",), ("eetq",)),
    Encoding("AWQ", methods=("awq",)),
    Encoding("AutoRound", methods=("auto-round", "intel/auto-round", "auto_round")),
    Encoding("GPTQ", r"\.g_idx$", methods=("gptq", "gptq_v2")),
    Encoding("GPTQ or AWQ", r"\.(qweight|qzeros)$"),
    Encoding("MLX", r"\.biases$|\.scales$", ("U32",)),
    Encoding("HQQ", r"\.W_q$", methods=("hqq",)),
    Encoding("AQLM", r"\.codebooks$", methods=("aqlm",)),
    Encoding("VPTQ", r"\.centroids\.weight$|\.res_centroids\.", methods=("vptq",)),
    Encoding("QuIP#", r"\.Qidxs(_\d+)?$", methods=("quip",)),
    Encoding("SpQR", methods=("spqr",)),
    Encoding("HIGGS", methods=("higgs",)),
    Encoding("ExLlamaV3", r"\.trellis$", methods=("exl3",)),
    Encoding("ExLlamaV2", r"\.q_(weight|invperm|scale_max|groups)$", methods=("exl2",)),
    Encoding("quanto", r"\.weight\._(data|scale|shift)$", methods=("quanto",), remedy=_DEQUANTIZE),
    Encoding("torchao", r"[.:_](qdata|int_data|tensor_impl|layout_tensor)\b", methods=("torchao",), remedy=_DEQUANTIZE),
    Encoding("BitNet", r"\.weight_scale$", ("U8",), ("bitnet",)),
    Encoding("FBGEMM in FP8", methods=("fbgemm_fp8",)),
    Encoding("FP8", r"_scale(_inv)?$|\.qscale_weight$", ("F8_E4M3", "F8_E5M2"), ("fp8", "finegrained_fp8")),
    Encoding("FP8", "", ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")),
    Encoding("a method that stores integers beside scales", r"scale|zero", ("I8", "U8", "I16", "U16", "I32", "U32")),
    Encoding(
        "FP8, at least its key-value cache", r"\.[kvq](_proj)?[._](output_)?scale$|\.kv_scale$|\.prob_output_scale$"
    ),
)


def undecodable(found: Findings) -> CheckpointError | None:
    """Tell why codes of a method that is read cannot be decoded."""
    try:
        decodings(found.raw.infos, found.raw.sidecars)
    except CheckpointError as error:
        return error
    return None


def quantized(found: Findings) -> UnsupportedError | None:
    """Name what has quantized the weights, if tensors are of a dtype or name that tell of it."""
    strange = list(_strange(found))
    stated = method(found.model)
    told = "" if stated is None else f" (config.json states quant_method {shown(stated)})"
    for encoding in ENCODINGS if strange else ():
        if shows := _shows(encoding, strange, stated):
            remedy = _STATEMENT if stated is None and METHODS.keys() & {*encoding.methods} else encoding.remedy
            return UnsupportedError(
                f"{found.raw.name} is quantized already, by {encoding.by}{told}: {typed(shows)}; {remedy}."
            )
    if stated is not None and (shows := _without_weights(strange)):
        return UnsupportedError(f"{found.raw.name} is quantized already{told}: {typed(shows)}; {_ORIGINAL}.")
    return None


def _shows(encoding: Encoding, strange: list[TensorInfo], stated: str | None) -> list[TensorInfo]:
    """Return the tensors that tell of an encoding."""
    if stated in encoding.methods:
        # A model that was dequantized may have kept the statement.
        return _without_weights(strange)
    named = [info for info in strange if encoding.names is not None and re.search(encoding.names, info.name)]
    if not encoding.dtypes:
        return named
    return [info for info in strange if info.dtype in encoding.dtypes] if named else []


def _without_weights(infos: list[TensorInfo]) -> list[TensorInfo]:
    return [info for info in infos if info.dtype not in (*FLOAT_DTYPES, *BLOCK_DTYPES)]


def _strange(found: Findings) -> Iterator[TensorInfo]:
    """Yield the tensors without a place and those that do not hold plain numbers."""
    yield from telling(found)
    yield from found.coded


def method(model: Model) -> str | None:
    """Return what config.json states to have quantized the weights; a text of any length."""
    for name in ("quantization_config", "compression_config", "quantization"):
        section = model.config.values.get(name)
        if isinstance(section, dict):
            stated = section.get("quant_method")
            return stated if isinstance(stated, str) else None
    return None


def other_dtypes(found: Findings) -> UnsupportedError | None:
    """Refuse dtypes that do not hold weights as plain numbers, where nothing tells more."""
    if not found.coded:
        return None
    return UnsupportedError(
        f"{found.raw.name} holds tensors in other types than {', '.join(FLOAT_DTYPES)}: {typed(found.coded)}; save "
        "the model in 16 bits."
    )
