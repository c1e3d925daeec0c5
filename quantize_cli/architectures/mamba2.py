"""Mamba 2: selective state spaces whose heads share one decay, as parts of a model or in every layer."""

from __future__ import annotations

from collections.abc import Mapping

from quantize_cli.architectures.demands import Demand
from quantize_cli.architectures.family import Part, change, move, rename
from quantize_cli.architectures.maps import NegExp
from quantize_cli.architectures.moves import Folded, Move, Squeeze
from quantize_cli.architectures.sizes import Size, Sizes

#: The tensors of a layer of state spaces, its norm before them included.
MAMBA2 = Part(
    (
        *("attn_norm.weight", "ssm_in.weight", "ssm_conv1d.weight", "ssm_conv1d.bias"),
        *("ssm_dt.bias", "ssm_a", "ssm_d", "ssm_out.weight"),
    )
)
MAMBA2_NORM = Part(("ssm_norm.weight",))

MAMBA2_DEMANDS = tuple(
    Demand(f"ssm.{name}", required=True, least=1)
    for name in ("conv_kernel", "inner_size", "state_size", "time_step_rank", "group_count")
)


def _column(_sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    return (Folded(1),)


def _by_group(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    inner, groups = sizes.known("ssm_inner"), sizes.known("ssm_groups")
    if inner < groups:
        raise ValueError(f"an inner size of {inner} cannot have {groups} groups")
    return (Folded(inner // groups),)


#: For a family whose sizes have `ssm_inner`, `ssm_groups`, `ssm_state`, `ssm_heads` and `ssm_kernel`.
MAMBA2_SIZES: Mapping[str, Size] = {
    "ssm_conv": lambda sizes: sizes.known("ssm_inner") + 2 * sizes.known("ssm_groups") * sizes.known("ssm_state"),
    "ssm_projection": lambda sizes: sizes.known("ssm_conv") + sizes.known("ssm_inner") + sizes.known("ssm_heads"),
    "ssm_of_group": lambda sizes: sizes.known("ssm_inner") // sizes.known("ssm_groups"),
}
MAMBA2_SHAPES: Mapping[str, tuple[str, ...]] = {
    "ssm_in.weight": ("ssm_projection", "hidden"),
    "ssm_conv1d.weight": ("ssm_conv", "ssm_kernel"),
    "ssm_conv1d.bias": ("ssm_conv",),
    "ssm_dt.bias": ("ssm_heads",),
    "ssm_a": ("ssm_heads", "one"),
    "ssm_d": ("ssm_heads", "one"),
    "ssm_norm.weight": ("ssm_groups", "ssm_of_group"),
    "ssm_out.weight": ("hidden", "ssm_inner"),
}
MAMBA2_NAMINGS = (rename(r"\.dt_bias$", ".dt_proj.bias"),)
MAMBA2_RULES = (
    move(r"\.conv1d\.weight$", lambda _sizes, _shape: (Squeeze(),)),
    move(r"\.(A_log|D)$", _column),
    change(r"\.A_log$", NegExp()),
    move(r"\.(mamba|mixer)\.norm\.weight$", _by_group),
)
