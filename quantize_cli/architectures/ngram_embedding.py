"""Embeddings of hashed n-grams in one layer, whose table lies in parts (Qwen3.8-Flash-Next)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantize_cli.architectures.family import Output, Part, Rule, Stack, change, leave_out, move
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Squeeze
from quantize_cli.architectures.rows import ARRAY, U32, Source
from quantize_cli.architectures.sizes import Named
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import ValueType

_CONSTANTS = ("layer_multipliers", "ngram_heads_offsets", "ngram_heads_vocab_sizes")
_SHARD = re.compile(r"\.ngram_embedding\.shard_\d+\.weight$")


def ngram_layers(model: Model) -> Iterable[int]:
    """Return the numbers of the layers that have n-grams; config.json counts from one."""
    return [number - 1 for number in model.config.naturals("ple_layer_ids") or []]


def check_ngrams(model: Model) -> None:
    """Refuse a table that lacks parts: the GGUF file would hold it without its last rows."""
    found, told = sum(bool(_SHARD.search(name)) for name in model.infos), model.config.integer("split_ngram_parts")
    if ngram_layers(model) and found != told:
        raise CheckpointError(
            f"{model.config.where} gives split_ngram_parts as {told}, but {model.name} has {found} parts of "
            "ngram_embedding; repeat the download, or correct the number."
        )


def _if_any(source: Source) -> Source:
    """Return a value for models that have n-grams."""
    return lambda model: (source(model) if callable(source) else source) if ngram_layers(model) else None


def _number(name: str) -> Source:
    return _if_any(lambda model: model.config.required(name))


def _constants(name: str) -> Source:
    """Return whole numbers that are a tensor; as float32 they would lose digits."""

    def values(model: Model) -> list[int]:
        held = next((held for held in model.infos if held.endswith(f".ple_embedding.{name}")), None)
        if held is None:
            raise CheckpointError(f"{model.name} lacks the tensor {name} of ple_embedding; download it again.")
        return [int(value) for value in model.read(held).reshape(-1)]

    return _if_any(values)


def _end(model: Model) -> int:
    """Return the token at which n-grams start anew, the last of several as in the reference."""
    value = model.config.get("eos_token_id")
    end = value[-1] if isinstance(value, list) and value else value
    if type(end) is not int:
        raise CheckpointError(
            f"{model.config.where} gives eos_token_id as {shown(value)}, but n-grams need the number of a token; take "
            "the config.json of the model again."
        )
    return end


def _width(model: Model) -> int | None:
    return next((info.shape[-1] for name, info in model.infos.items() if _SHARD.search(name) and info.shape), None)


NGRAM_ROWS = (
    ARRAY(ValueType.INT32, "{arch}.ple.layers", value=lambda model: ngram_layers(model) or None),
    U32("{arch}.ple.ngram_size", value=_number("ngram_size")),
    U32("{arch}.ple.heads_per_ngram", value=_number("heads_per_ngram")),
    U32("{arch}.ple.conv_kernel", value=_number("ple_conv_kernel_size")),
    U32("{arch}.ple.eos_token_id", value=_if_any(_end)),
    U32("{arch}.ple.image_token_id", value=_if_any(lambda model: model.config.natural("image_token_id"))),
    U32("{arch}.embedding_length_per_layer_input", value=_if_any(_width)),
    *(
        ARRAY(ValueType.UINT64, f"{{arch}}.ple.{key}", value=_constants(name))
        for key, name in zip(("layer_multipliers", "head_offsets", "head_vocab_sizes"), _CONSTANTS, strict=True)
    ),
)

NGRAM_PARTS = Part(
    tuple(f"ple_{name}.weight" for name in ("key", "value", "norm_key", "norm_query", "norm_conv", "conv1d")),
    ngram_layers,
)
NGRAM_TABLE = "per_layer_token_embd.weight"
NGRAM_NAMINGS = (leave_out(rf"\.ple_embedding\.({'|'.join(_CONSTANTS)})$"),)
NGRAM_STACK = Stack(r"(.*\.ngram_embedding)\.shard_(\d{1,9})\.(.+)", joined=True)
NGRAM_RULES = (
    Rule(r"^.*\.ngram_embedding\.weight$", (Output(NGRAM_TABLE),)),
    change(r"\.ple\.norm_(key|query|conv)\.weight$", Add(1.0)),
    move(r"\.ple\.conv1d\.weight$", lambda _sizes, _shape: (Squeeze(),)),
)
NGRAM_SIZES = {"ple_kernel": Named("ple_conv_kernel_size")}
NGRAM_SHAPES = {
    "per_layer_token_embd.weight": ("ngram_rows", "ngram_width"),  # sizes that nothing but the tensor gives
    "ple_key.weight": ("streams", "hidden"),
    "ple_value.weight": ("hidden", "hidden"),
    **{f"ple_norm_{name}.weight": ("streams",) for name in ("key", "query", "conv")},
    "ple_conv1d.weight": ("streams", "ple_kernel"),
}
