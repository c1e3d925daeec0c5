"""A calibration as a value: what `quantize calibrate` measures, and what chooses types by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantize_cli.texts.model import TextRecord


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What tells whether a calibration is of a model: both are SHA-256 in hex digits, both known from headers."""

    config: str  #: of config.json's values, keys sorted, without those that do not change what the model computes
    shapes: str  #: of the names and shapes of all tensors of the checkpoint, sorted


def _empty() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class TensorCalibration:
    """What was measured of one GGUF tensor, or, where tensors are tied, of their only copy."""

    name: str  #: GGUF name
    #: float32[experts, columns]: sums of the squares of what the tensor is multiplied by; it has no rows where that is
    #: not measured, as for the embedding
    squares: NDArray[np.float32]
    counts: NDArray[np.float32]  #: float32[experts]: how many tokens each sum is of; an expert that is never hit has 0
    #: GGML type -> what storing the tensor in this type costs, in nats a token; types whose blocks do not divide its
    #: rows are missing. Empty: it was not measured, and the tensor keeps the type that a mix gives it.
    costs: Mapping[str, float]
    #: float32[sequences, context], or empty where that is not measured, as for experts: for each token of
    #: `Calibration.tokens`, the square of the loss's gradient at what the tensor makes of it, over the mean of all
    token_weights: NDArray[np.float32] = field(default_factory=_empty)
    #: float32[columns, columns] of a tensor with a row for each token of the vocabulary, else empty: what an error of
    #: any of its rows costs, E[|p - y|^2 h h^T] at the output and E[g g^T] at the embedding; a tied one has the sum
    hessian: NDArray[np.float32] = field(default_factory=_empty)
    #: float32[1 + rank, rows] of attn_q, attn_k and attn_output, else empty: of the gradients g at their outputs
    #: E[min(|x|^2, 20 median) g g^T], which tells how errors of different rows add; over the mean of its diagonal, that
    #: is about factors[1:].T @ factors[1:] + diag(factors[0])
    output_factors: NDArray[np.float32] = field(default_factory=_empty)


@dataclass(frozen=True, eq=False, slots=True)
class BlockActivations:
    """How large the hidden state is that a block hands on."""

    largest: NDArray[np.float32]  #: float32[hidden]: the largest magnitude of each channel over all tokens
    mean_square: NDArray[np.float32]  #: float32[hidden]


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """All that was measured of a model."""

    model: ModelIdentity
    architecture: str  #: GGUF's name, "llama"
    context: int  #: tokens of a sequence
    texts: tuple[TextRecord, ...]
    tensors: tuple[TensorCalibration, ...]  #: in the order of the GGUF file
    blocks: tuple[BlockActivations, ...] = ()  #: one for each layer
    #: int32[sequences, context]: what was measured on, and behind it what was held out
    tokens: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    #: How many of the last sequences of `tokens` are of other texts: no figure but token weights is of them.
    held_out: int = 0

    @property
    def sequences(self) -> int:
        """Number of sequences, which llama.cpp calls chunks."""
        return sum(text.tokens for text in self.texts) // self.context
