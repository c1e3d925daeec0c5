"""Qwen 3.5, dense and with experts: three layers of gated linear attention for each layer of full attention."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.experts import STACKED_EXPERTS
from quantize_cli.architectures.families.qwen3_next import EXPERTS, MIXERS, MTP_EXPERTS, MTP_LAYERS, QWEN3_NEXT
from quantize_cli.architectures.family import leave_out
from quantize_cli.architectures.linear_attention import ALPHA_BETA, DELTA_NET_RULES, TILING_RULES
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.mtp import stored_mtp_layers
from quantize_cli.architectures.parts import FFN
from quantize_cli.architectures.rows import ARRAY
from quantize_cli.gguf_file.fields import ValueType


def _sections(model: Model) -> list[int] | None:
    """Return the sections of rope that llama.cpp needs if config.json leaves them out."""
    return None if "mrope_section" in model.rope.values else [11, 11, 10, 0]


QWEN3_5_MOE = replace(
    QWEN3_NEXT,
    architecture="qwen35moe",
    metadata=(*QWEN3_NEXT.metadata, ARRAY(ValueType.INT32, "{arch}.rope.dimension_sections", value=_sections)),
    demands=(*QWEN3_NEXT.demands, demands.ROPE_SECTIONS),
    parts=(*MIXERS, ALPHA_BETA, *EXPERTS, *MTP_LAYERS, *MTP_EXPERTS),
    rules=(*DELTA_NET_RULES, *TILING_RULES, *STACKED_EXPERTS),
)

QWEN3_5 = replace(
    QWEN3_5_MOE,
    architecture="qwen35",
    demands=(*demands.ATTENTION, *demands.GATED_DELTA_NET, demands.ROPE_SECTIONS),
    parts=(*MIXERS, ALPHA_BETA, FFN, *MTP_LAYERS, FFN.among(stored_mtp_layers)),
    rules=(*DELTA_NET_RULES, *TILING_RULES),
    needed=("vocab", "hidden", "heads", "ffn"),
)

#: Within MiniCPM-V 4.6; the reference leaves the MTP layer out, but not its number.
MINICPM_V = replace(
    QWEN3_5,
    parts=(*MIXERS, ALPHA_BETA, FFN),
    namings=(leave_out(r"^model\.merger\.|^mtp"), *QWEN3_5.namings),
)
