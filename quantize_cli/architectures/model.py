"""A model as its family's data gets it: configuration, tensor headers and small files, but no weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.architectures.config import Config
from quantize_cli.architectures.rope import rope_parameters
from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.errors import CheckpointError

#: Names of the number of layers in config.json.
LAYERS = ("n_layers", "num_hidden_layers", "n_layer", "num_layers")

#: No model in use comes near this many.
MAX_LAYERS = 1_000


#: Values of a small tensor: float32 for all float dtypes, int64 for all integers.
Weights: TypeAlias = NDArray[np.float32] | NDArray[np.int64]


def unread(name: str) -> Weights:
    """Raise: values cannot be read where there are headers alone."""
    raise LookupError(name)


@dataclass(frozen=True)
class Model:
    """Everything that metadata rows, sizes and tensor rules may use."""

    name: str  #: the checkpoint's name
    architecture: str  #: GGUF name, "llama"
    config: Config  #: text part merged, defaults filled in
    sidecars: Sidecars
    infos: Mapping[str, TensorInfo]  #: the checkpoint's tensors by name, in file order
    read: Callable[[str], Weights] = unread  #: the values of a tensor of at most 1 MiB
    extra_layers: int = 0  #: number of layers that only predict further tokens (MTP), which follow the others

    @cached_property
    def rope(self) -> Config:
        """The parameters of rotary position embedding."""
        return rope_parameters(self.config)

    @cached_property
    def layers(self) -> int:
        """The number of layers, without those that only predict further tokens."""
        kinds = self.config.texts("layers_block_type")
        if kinds and self.config.get(*LAYERS) is None:  # Nemotron-H, whose class counts them
            if len(kinds) > MAX_LAYERS:
                raise self.config.error(("layers_block_type",), f"a list of at most {MAX_LAYERS} texts")
            return len(kinds)
        return self.config.required(*LAYERS, maximum=MAX_LAYERS)

    @property
    def blocks(self) -> int:
        """The number of all layers: block_count."""
        return self.layers + self.extra_layers

    def layer_types(self) -> list[str] | None:
        """Return the kind of each layer, or None if config.json does not tell kinds apart.

        Raises:
            CheckpointError: There are more or fewer kinds than layers.
        """
        kinds = self.config.texts("layer_types")
        if kinds is not None and len(kinds) != self.layers:
            raise CheckpointError(
                f"{self.config.where} gives layer_types for {len(kinds)} layers, but num_hidden_layers is "
                f"{self.layers}; set both to the number of layers that the tensors have."
            )
        return kinds
