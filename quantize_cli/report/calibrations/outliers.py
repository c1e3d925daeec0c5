"""Hidden channels that carry extreme activations.

LLM.int8() (Dettmers et al. 2022, section 4) found that few hidden channels hold nearly all large values, and takes 6.0
as the magnitude from which a value is an outlier. The hidden state of today's models does not have a fixed scale: it
grows from layer to layer. So the limit is held against the median of the layer's channels here; magnitudes from 6.0 on
are counted beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize_cli.sensitivity.model import BlockActivations

#: From this multiple of the layer's median magnitude on, a channel is an outlier.
LIMIT = 6.0

#: How many of the largest channels of a layer are told.
_LARGEST = 3


@dataclass(frozen=True, slots=True)
class LayerActivations:
    """The magnitudes of what one layer hands on."""

    median: float  #: of the channels' largest magnitudes
    largest: tuple[tuple[int, float], ...]  #: (channel, magnitude), the largest first
    outliers: int  #: channels with at least LIMIT medians
    from_limit: int  #: channels whose magnitude itself is at least LIMIT


@dataclass(frozen=True, slots=True)
class OutlierChannel:
    """A channel that is an outlier in some layer."""

    channel: int
    first_layer: int  #: where it begins
    layers: int  #: in how many layers it is an outlier
    magnitude: float  #: its largest, over all layers
    ratio: float  #: its largest multiple of a layer's median
    ratios: tuple[float, ...]  #: of each layer


def by_layer(blocks: Sequence[BlockActivations]) -> tuple[LayerActivations, ...]:
    """Sum up each layer."""
    return tuple(_layer(block.largest) for block in blocks)


def outlier_channels(blocks: Sequence[BlockActivations]) -> tuple[OutlierChannel, ...]:
    """Find all outliers, the most extreme first."""
    if not blocks:
        return ()
    magnitudes = np.stack([block.largest for block in blocks]).astype(np.float64)
    ratios = np.stack([_ratios(layer) for layer in magnitudes])
    beyond = ratios >= LIMIT
    found = [
        OutlierChannel(
            channel=int(channel),
            first_layer=int(np.argmax(beyond[:, channel])),
            layers=int(np.count_nonzero(beyond[:, channel])),
            magnitude=float(np.max(magnitudes[:, channel])),
            ratio=float(np.max(ratios[:, channel])),
            ratios=tuple(ratios[:, channel].tolist()),
        )
        for channel in np.flatnonzero(beyond.any(axis=0))
    ]
    return tuple(sorted(found, key=lambda outlier: -outlier.ratio))


def _layer(magnitudes: NDArray[np.float32]) -> LayerActivations:
    largest = np.argsort(-magnitudes, kind="stable")[:_LARGEST]
    return LayerActivations(
        median=float(np.median(magnitudes)),
        largest=tuple((int(channel), float(magnitudes[channel])) for channel in largest),
        outliers=int(np.count_nonzero(_ratios(magnitudes.astype(np.float64)) >= LIMIT)),
        from_limit=int(np.count_nonzero(magnitudes >= LIMIT)),
    )


def _ratios(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the median; all are 0 where the median is, because nothing can be held against it."""
    median = float(np.median(magnitudes))
    return magnitudes / median if median > 0 else np.zeros_like(magnitudes)
