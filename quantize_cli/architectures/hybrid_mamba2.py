"""Models whose layers are Mamba 2 or attention (Granite 4, Bamba, Nemotron-H): which layers are what, and sizes.

The reference is `GraniteHybridModel` (conversion/granite.py): it looks for each name alone, and then behind `mamba_`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from quantize_cli.architectures.family import Layers
from quantize_cli.architectures.mamba2 import MAMBA2_SIZES
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.rows import ARRAY, BOOL, U32, Row, Source
from quantize_cli.architectures.sizes import Named, Size, Sizes
from quantize_cli.gguf_file.fields import ValueType


def _either(*names: str) -> tuple[str, ...]:
    return (*names, *(f"mamba_{name}" for name in names))


_KERNEL = _either("conv_kernel", "d_conv")
_STATE = _either("state_size", "d_state", "state_dim", "ssm_state_size")
_GROUPS = _either("n_groups", "num_groups")
_HEADS = _either("n_heads", "num_heads")

#: The context length that the reference writes for models without rope.
_ENDLESS = 1 << 20


def padded(multiple: int) -> Size:
    """Return the rows of the embedding: `vocab_size`, rounded up as the models' own code does."""

    def size(sizes: Sizes) -> int | None:
        tokens = sizes.model.config.integer("vocab_size")
        step = sizes.model.config.integer("pad_vocab_size_multiple") or multiple
        return None if tokens is None else -(-tokens // step) * step

    return size


def kv_heads(attends: Layers) -> Source:
    """Return the key-value heads of each layer, 0 where a layer does not attend."""

    def value(model: Model) -> list[int]:
        heads, layers = model.config.required("num_key_value_heads", "n_head_kv"), set(attends(model))
        return [heads if number in layers else 0 for number in range(model.blocks)]

    return value


def hybrid_rows(inner: Callable[[Model], int], attends: Layers, rope: Callable[[Model], bool]) -> tuple[Row, ...]:
    """Return the rows of the state spaces and of attention.

    Args:
        inner: Returns the inner size of the state spaces.
        attends: Returns the layers with attention.
        rope: Tells whether attention rotates; a model that does not has no longest context.
    """
    return (
        U32("{arch}.ssm.conv_kernel", *_KERNEL),
        U32("{arch}.ssm.state_size", *_STATE),
        U32("{arch}.ssm.group_count", *_GROUPS),
        U32("{arch}.ssm.inner_size", value=inner),
        U32("{arch}.ssm.time_step_rank", *_HEADS),
        U32("{arch}.rope.dimension_count", "attn_rotary_emb"),
        ARRAY(ValueType.INT32, "{arch}.attention.head_count_kv", value=kv_heads(attends)),
        BOOL("{arch}.rope.scaling.finetuned", value=rope),
        U32("{arch}.context_length", value=lambda model: None if rope(model) else _ENDLESS),
    )


def hybrid_sizes(inner: Callable[[Model], int]) -> Mapping[str, Size]:
    """Return the sizes of the state spaces."""
    return {
        **MAMBA2_SIZES,
        "vocab": padded(8),
        "ssm_inner": lambda sizes: inner(sizes.model),
        "ssm_groups": Named(*_GROUPS),
        "ssm_state": Named(*_STATE),
        "ssm_heads": Named(*_HEADS),
        "ssm_kernel": Named(*_KERNEL),
    }


def of_kind(kinds: Callable[[Model], list[str]], names: Collection[str]) -> Layers:
    """Return a function to the layers whose kind is one of `names`."""
    return lambda model: [number for number, kind in enumerate(kinds(model)) if kind in names]
