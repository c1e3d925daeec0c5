"""Qwen 3-VL, 3-Omni and 3-ASR, text parts: Qwen 3's decoders with rope in three dimensions."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.experts import TRANSPOSED_EXPERTS
from quantize_cli.architectures.families.qwen3 import QWEN3, QWEN3_MOE
from quantize_cli.architectures.family import rename
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mrope import SECTIONS
from quantize_cli.architectures.rows import U32
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.fields import ID_KEYS
from quantize_cli.tokenizers.vocabularies import BPE, QWEN2
from quantize_cli.tokenizers.vocabulary import Extra


def _deepstack(model: Model) -> int:
    """Return how many layers get features of the image tower's inner layers."""
    return len(model.config.section("vision_config").naturals("deepstack_visual_indexes") or ())


_DEEPSTACK = "{arch}.n_deepstack_layers"
_DEMANDS = SECTIONS, Demand("n_deepstack_layers")
_NAMINGS = (rename(r"thinker\.", ""),)  # Omni's part that understands; the part that speaks is left out
_ENDS = tuple(Extra(ID_KEYS[role], ValueType.UINT32, token="<|im_end|>") for role in ("bos", "eos"))
_CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

QWEN3_VL = replace(
    QWEN3,
    architecture="qwen3vl",
    metadata=(*QWEN3.metadata, U32(_DEEPSTACK, value=_deepstack)),
    demands=(*QWEN3.demands, *_DEMANDS),
    namings=_NAMINGS,
    foldings=(),
)
QWEN3_VL_MOE = replace(
    QWEN3_MOE,
    architecture="qwen3vlmoe",
    metadata=(*QWEN3_MOE.metadata, U32(_DEEPSTACK, value=_deepstack)),
    demands=(*QWEN3_MOE.demands, *_DEMANDS),
    namings=_NAMINGS,
    rules=TRANSPOSED_EXPERTS,
    foldings=(),
)
#: The reference leaves the inner features out of these two, and ends texts where a message ends.
QWEN3_OMNI_MOE = replace(
    QWEN3_VL_MOE,
    metadata=(*QWEN3_MOE.metadata, U32(_DEEPSTACK, value=0)),
    vocabulary=replace(BPE, fields=_ENDS),
)
QWEN3_ASR = replace(
    QWEN3_VL,
    metadata=(*QWEN3.metadata, U32(_DEEPSTACK, value=0)),
    vocabulary=replace(QWEN2, fields=(Extra("tokenizer.chat_template", ValueType.STRING, default=_CHAT), *_ENDS)),
)
