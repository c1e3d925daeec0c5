"""Apertus: Llama's decoder with norms of queries and keys, and xIELU, whose numbers are tensors of one value."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import leave_out
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION, FFN_NORM, OUTPUT_BIAS, PLAIN_FFN, QK_NORM
from quantize_cli.architectures.rows import ARRAY, Source
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import APERTUS as VOCABULARY

_NUMBERS = ("alpha_n", "alpha_p", "beta", "eps")


def _of_layers(number: str) -> Source:
    """Return the values of a number in all layers, or None if one is missing."""

    def values(model: Model) -> list[float] | None:
        names = [f"model.layers.{layer}.mlp.act_fn.{number}" for layer in range(model.layers)]
        if not all(name in model.infos and model.infos[name].elements == 1 for name in names):
            return None
        return [float(model.read(name).reshape(-1)[0]) for name in names]

    return values


APERTUS = replace(
    LLAMA,
    architecture="apertus",
    of_tensors=tuple(ARRAY(ValueType.FLOAT32, f"xielu.{number}", value=_of_layers(number)) for number in _NUMBERS),
    demands=demands.ATTENTION,
    vocabulary=VOCABULARY,
    parts=(ATTENTION, QK_NORM, FFN_NORM, PLAIN_FFN),
    optional=(OUTPUT_BIAS,),
    outside=("token_embd.weight", "output_norm.weight", "output.weight"),
    namings=(leave_out(r"\.act_fn\.(alpha_n|alpha_p|beta|eps)$"),),
    rules=(),
    foldings=foldings.WITHOUT_GATE,
)
