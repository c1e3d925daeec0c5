"""Experts beside a feed-forward network that all tokens pass (Gemma 4): gates and other projections stay one tensor."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.family import Part, rename
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Named, Size, product

_ROUTER = Part(("ffn_gate_inp.weight", "ffn_gate_inp.scale", "ffn_down_exps.scale"))
_EXPERTS = Part(("ffn_gate_up_exps.weight", "ffn_down_exps.weight"))
_EXPERT_NORMS = Part(("pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "post_ffw_norm_2.weight"))
BESIDE_FFN = (_ROUTER, _EXPERTS, _EXPERT_NORMS)

BESIDE_FFN_NAMINGS = (
    rename(r"\.router\.scale$", ".router.proj.scale"),
    rename(r"\.router\.per_expert_scale$", ".experts.down_proj.scale"),
    rename(r"(\.experts\.(?:gate_up|down)_proj)$", r"\1.weight"),
)
BESIDE_FFN_SIZES: Mapping[str, Size] = {
    "expert_ffn": Named("expert_intermediate_size", "moe_intermediate_size"),
    "two": lambda _sizes: 2,
    "two_expert_ffn": product("two", "expert_ffn"),
}
BESIDE_FFN_SHAPES: Mapping[str, Shape] = {
    "ffn_gate_up_exps.weight": ("experts", "two_expert_ffn", "hidden"),
    **dict.fromkeys(_EXPERT_NORMS.names, ("hidden",)),
    "ffn_gate_inp.scale": ("hidden",),
    "ffn_down_exps.scale": ("experts",),
}
