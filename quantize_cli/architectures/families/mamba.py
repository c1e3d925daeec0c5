"""Mamba 1, Falcon Mamba and Mamba 2: selective state spaces in every layer, and no attention."""

from __future__ import annotations

import re

from quantize_cli.architectures import foldings
from quantize_cli.architectures.demands import RMS_NORM
from quantize_cli.architectures.family import Family, Naming, Part, change, move, rename
from quantize_cli.architectures.hybrid_mamba2 import padded
from quantize_cli.architectures.mamba2 import (
    MAMBA2,
    MAMBA2_DEMANDS,
    MAMBA2_NAMINGS,
    MAMBA2_NORM,
    MAMBA2_RULES,
    MAMBA2_SHAPES,
    MAMBA2_SIZES,
)
from quantize_cli.architectures.maps import NegExp
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Squeeze
from quantize_cli.architectures.rows import BOOL, F32, U32, Row
from quantize_cli.architectures.sizes import Named, product, total
from quantize_cli.errors import UnsupportedError
from quantize_cli.tokenizers.vocabularies import MAMBA
from quantize_cli.tokenizers.vocabularies import MAMBA2 as VOCABULARY_2

_WIDTH = ("hidden_size", "d_model", "dim")
_INNER = ("mamba_d_ssm", "intermediate_size", "d_inner")
_EMBEDDING = re.compile(r"\.embeddings?\.weight$")


def _tied_head(match: re.Match[str], model: Model) -> str | None:
    """Leave a tied head out; the reference does so where head and embedding are equal."""
    tied = model.config.get("tie_word_embeddings", "tie_embeddings") in (None, True)
    return None if tied and any(_EMBEDDING.search(name) for name in model.infos) else match.string


def _inner(model: Model) -> int:
    return model.config.integer(*_INNER[1:]) or 2 * model.config.required(*_WIDTH)


def _check_expansion(model: Model) -> None:
    inner, width = _inner(model), model.config.required(*_WIDTH)
    embeddings = [info.shape for name, info in model.infos.items() if _EMBEDDING.search(name)]
    if inner != 2 * width and all(shape[-1:] == (width,) for shape in embeddings):  # else config.json is wrong
        raise UnsupportedError(
            f"{model.config.where} makes the inner size {inner}, but llama.cpp runs Mamba only with twice the hidden "
            f"size, which is {width}; take another model."
        )


def _rows(inner: Row, *middle: Row) -> tuple[Row, ...]:
    return (
        U32("{arch}.context_length", value=1 << 20),  # the reference's number for all
        U32("{arch}.embedding_length", *_WIDTH),
        U32("{arch}.feed_forward_length", value=0),
        U32("{arch}.attention.head_count", value=0),
        U32("{arch}.block_count", value=lambda model: model.blocks),
        U32("{arch}.ssm.conv_kernel", "conv_kernel", "d_conv", value=4),
        inner,
        *middle,
    )


def _epsilon() -> Row:
    return F32("{arch}.attention.layer_norm_rms_epsilon", "layer_norm_epsilon", "rms_norm_eps", value=1e-5)


def _rank(model: Model) -> int:
    return model.config.integer("time_step_rank", "dt_rank") or -(-model.config.required(*_WIDTH) // 16)


def _inner2(model: Model) -> int:
    expand = model.config.integer("mamba_expand", "expand") or 2
    return model.config.integer(*_INNER) or expand * model.config.required(*_WIDTH)


def _heads(model: Model) -> int:
    return _inner2(model) // (model.config.integer("mamba_d_head", "head_dim") or 64)


MAMBA1 = Family(
    architecture="mamba",
    metadata=(
        *_rows(U32("{arch}.ssm.inner_size", value=_inner)),
        U32("{arch}.ssm.state_size", "state_size", "d_state", value=16),
        U32("{arch}.ssm.time_step_rank", value=_rank),
        _epsilon(),
        BOOL("{arch}.ssm.dt_b_c_rms", value=lambda model: model.config.get("model_type") == "falcon_mamba"),
    ),
    demands=(RMS_NORM, *MAMBA2_DEMANDS[:-1]),
    vocabulary=MAMBA,
    parts=(MAMBA2, Part(("ssm_x.weight", "ssm_dt.weight"))),
    namings=(Naming(r"^lm_head\.", _tied_head),),
    rules=(move(r"\.conv1d\.weight$", lambda _sizes, _shape: (Squeeze(),)), change(r"\.A_log$", NegExp())),
    sizes={
        "vocab": padded(8),
        "hidden": Named(*_WIDTH),
        "two": lambda _sizes: 2,
        "ssm_inner": lambda sizes: _inner(sizes.model),
        "ssm_both": product("two", "ssm_inner"),
        "ssm_state": Named("state_size", "d_state", default=16),
        "ssm_kernel": Named("conv_kernel", "d_conv", default=4),
        "ssm_rank": lambda sizes: _rank(sizes.model),
        "ssm_x": total("ssm_rank", "ssm_state", "ssm_state"),
    },
    shapes={
        "ssm_in.weight": ("ssm_both", "hidden"),
        "ssm_conv1d.weight": ("ssm_inner", "ssm_kernel"),
        "ssm_conv1d.bias": ("ssm_inner",),
        "ssm_x.weight": ("ssm_x", "ssm_inner"),
        "ssm_dt.weight": ("ssm_inner", "ssm_rank"),
        "ssm_dt.bias": ("ssm_inner",),
        "ssm_a": ("ssm_inner", "ssm_state"),
        "ssm_d": ("ssm_inner",),
        "ssm_out.weight": ("hidden", "ssm_inner"),
    },
    needed=("vocab", "hidden"),
    check=_check_expansion,
    foldings=(foldings.Folding("attn_norm", ("ssm_in",)),),
)

MAMBA_2 = Family(
    architecture="mamba2",
    metadata=(
        *_rows(U32("{arch}.ssm.inner_size", value=_inner2)),
        U32("{arch}.ssm.state_size", "state_size", "d_state", value=128),
        U32("{arch}.ssm.time_step_rank", value=_heads),
        U32("{arch}.ssm.group_count", "n_groups", value=1),
        _epsilon(),
    ),
    demands=(RMS_NORM, *MAMBA2_DEMANDS),
    vocabulary=VOCABULARY_2,
    parts=(MAMBA2, MAMBA2_NORM),
    namings=(rename(r"^model\.(?=backbone|lm_head)", ""), *MAMBA2_NAMINGS),
    rules=MAMBA2_RULES,
    sizes={
        **MAMBA2_SIZES,
        "vocab": padded(16),
        "hidden": Named(*_WIDTH),
        "ssm_inner": lambda sizes: _inner2(sizes.model),
        "ssm_groups": Named("n_groups", default=1),
        "ssm_state": Named("state_size", "d_state", default=128),
        "ssm_heads": lambda sizes: _heads(sizes.model),
        "ssm_kernel": Named("conv_kernel", "d_conv", default=4),
    },
    shapes=MAMBA2_SHAPES,
    needed=("vocab", "hidden"),
    foldings=(foldings.Folding("attn_norm", ("ssm_in",)),),
)
