"""AltUp, four streams of states of which a layer computes one, and LAuReL, a low-rank path beside attention."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

from quantize_cli.architectures.family import Part, Stack
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.shapes import Shape
from quantize_cli.architectures.sizes import Named, Size
from quantize_cli.errors import UnsupportedError

#: Names in config.json -> the only value that llama.cpp knows (src/llama-hparams.h).
_FIXED = {"altup_num_inputs": 4, "laurel_rank": 64, "hidden_size_per_layer_input": 256}

#: GGUF names of the tensors outside the layers: a stack of the matrices of three streams.
ALTUP_OUTSIDE = ("altup_proj.weight", "altup_unembd_proj.weight")
ALTUP_STACK = Stack(r"(.*altup_(?:unembed_)?projections)\.(\d)\.(weight)")
_OF_LAYERS = ("correct_coef", "correct_scale", "predict_coef", "router", "router_norm")
ALTUP = Part(tuple(f"altup_{name}.weight" for name in _OF_LAYERS))
LAUREL = Part(("laurel_l.weight", "laurel_r.weight", "laurel_post_norm.weight"))

ALTUP_SIZES: Mapping[str, Size] = {
    "laurel": Named("laurel_rank"),
    "streams": lambda _sizes: 4,
    "other_streams": lambda _sizes: 3,
    "streams_squared": lambda _sizes: 16,
}
ALTUP_SHAPES: Mapping[str, Shape] = {
    "altup_proj.weight": ("other_streams", "hidden", "hidden"),
    "altup_unembd_proj.weight": ("other_streams", "hidden", "hidden"),
    "altup_correct_coef.weight": ("streams", "streams"),
    "altup_correct_scale.weight": ("hidden",),
    "altup_predict_coef.weight": ("streams_squared", "streams"),
    "altup_router.weight": ("streams", "hidden"),
    "altup_router_norm.weight": ("hidden",),
    "laurel_l.weight": ("laurel", "hidden"),
    "laurel_r.weight": ("hidden", "laurel"),
    "laurel_post_norm.weight": ("hidden",),
}


def refuse_other_sizes(model: Model) -> None:
    """Refuse a model with sizes that llama.cpp does not load.

    Raises:
        UnsupportedError: A size is not the one that llama.cpp knows.
    """
    for name, value in _FIXED.items():
        if (given := model.config.integer(name)) not in (None, value):
            raise UnsupportedError(
                f"{model.config.where} gives {name} as {given}, but llama.cpp loads only models with {value}; take "
                "such a model."
            )


def normal_quantile(share: float) -> float:
    """Return the float32 quantile of the standard normal distribution, -inf for 0.

    The steps are those of torch's `Normal.icdf`, in float32; the inverse error function is rounded from float64.
    """
    twice = np.float32(2) * np.float32(share) - np.float32(1)
    if abs(twice) >= 1:
        return float(np.copysign(np.inf, twice))
    inverse_error_function = NormalDist().inv_cdf((float(twice) + 1) / 2) / np.sqrt(2)
    return float(np.float32(inverse_error_function) * np.float32(np.sqrt(2)))
