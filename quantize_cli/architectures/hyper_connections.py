"""Hyper-connections in place of norms, each with mixers of low rank (Qwen3.8-Flash-Next)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.rows import U32
from quantize_cli.architectures.sizes import Named, Size, product

_SHAPES = {"norm": ("streams",), "down": ("hc_rank", "streams"), "up": ("streams", "hc_rank")}

HYPER_ROWS = (
    U32("{arch}.hyper_connection.count", "hc_count"),
    U32("{arch}.hyper_connection.low_rank", "hc_lowrank"),
)
HYPER_DEMANDS = (
    Demand("hyper_connection.count", required=True, least=2),
    Demand("hyper_connection.low_rank", required=True, least=1),
)
HYPER_CONNECTIONS = Part(
    tuple(f"hc_{place}_{name}.weight" for place in ("attn", "ffn") for name in (*_SHAPES, "inject"))
)
#: What takes the place of the last norm.
HYPER_OUTPUT = tuple(f"output_hc_{name}.weight" for name in _SHAPES)
HYPER_SIZES: Mapping[str, Size] = {
    "hc_count": Named("hc_count"),
    "hc_rank": Named("hc_lowrank"),
    "streams": product("hc_count", "hidden"),
}
HYPER_SHAPES = {
    **{f"{place}_{name}.weight": _SHAPES[name] for place in ("hc_attn", "hc_ffn", "output_hc") for name in _SHAPES},
    **{f"hc_{place}_inject.weight": ("hc_count", "streams") for place in ("attn", "ffn")},
}
