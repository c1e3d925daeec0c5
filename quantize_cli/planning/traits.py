"""The model's traits that the mixes' rules ask for, read from its metadata, for every kind of source.

The reference is what llama-quantize reads of the hyperparameters (src/llama-model.cpp, `load_hparams`).
"""

from __future__ import annotations

from collections.abc import Iterable

from quantize_cli.architectures.loading import PROJECTOR
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.mixes.traits import ModelTraits


def traits_of(metadata: Iterable[Field]) -> ModelTraits:
    """Return the traits; heads are the first layer's, and layers include those that only predict further tokens.

    Args:
        metadata: The model's fields, which `check_loads` has accepted.
    """
    fields = {field.key: field for field in metadata}
    architecture = str(fields["general.architecture"].value)
    if architecture == PROJECTOR:  # llama-quantize does not look at its layers
        return ModelTraits(architecture, layers=0, query_groups=0)

    def number(name: str) -> int | None:
        """Return a number, the first layer's where each layer has one."""
        held = fields.get(f"{architecture}.{name}")
        if held is None:
            return None
        return int(held.value[0] if held.type is ValueType.ARRAY else held.value)

    heads, kv_heads = number("attention.head_count") or 0, number("attention.head_count_kv")
    return ModelTraits.of(
        architecture,
        number("block_count") or 0,
        heads,
        heads if kv_heads is None else kv_heads,
        number("expert_count") or 0,
    )
