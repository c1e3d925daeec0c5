"""Hyper-connections whose mixing matrices are made doubly stochastic (manifold-constrained; GLM 5 Next)."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Part
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Named, Size, Sizes, product
from quantize_cli.gguf_file.fields import ValueType

_STREAMS = 4  # llama.cpp has no other number
_SHAPES = {"fn": ("mixes", "streams"), "base": ("mixes",), "scale": ("three",)}

MANIFOLD_ROWS = (
    U32("{arch}.hyper_connection.count", "hc_mult"),
    U32("{arch}.hyper_connection.sinkhorn_iterations", "hc_sinkhorn_iters"),
    F32("{arch}.hyper_connection.epsilon", "hc_eps"),
)
MANIFOLD_DEMANDS = (
    Demand("hyper_connection.count", required=True, least=_STREAMS, most=_STREAMS),
    Demand("hyper_connection.sinkhorn_iterations", required=True),
    Demand("hyper_connection.epsilon", ValueType.FLOAT32, required=True),
)


def _mixes(sizes: Sizes) -> int | None:
    """Return the number of weights that mix the streams: to read and to write each, and one for each pair."""
    streams = sizes["hc_count"]
    return None if streams is None else (2 + streams) * streams


MANIFOLD_SIZES: Mapping[str, Size] = {
    "hc_count": Named("hc_mult"),
    "mixes": _mixes,
    "streams": product("hc_count", "hidden"),
    "three": lambda _sizes: 3,
}
MANIFOLD_SHAPES = {f"hc_{half}_{kind}.weight": shape for half in ("attn", "ffn") for kind, shape in _SHAPES.items()}
MANIFOLD_CONNECTIONS = Part(tuple(MANIFOLD_SHAPES))
