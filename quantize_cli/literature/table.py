"""All methods that GGUF's types are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantize_cli.literature.absmax import absmax
from quantize_cli.literature.base import Columns, Matrix, RoundTrip
from quantize_cli.literature.llm_int8 import llm_int8
from quantize_cli.literature.nf4 import nf4


@dataclass(frozen=True, slots=True)
class Method:
    """A way to store the matrix of a linear layer."""

    title: str  #: for tables
    #: Rounds float32[outputs, inputs]; the second argument is the largest magnitude of what each column is multiplied
    #: by, float32[inputs], which only LLM.int8() looks at.
    round_trip: Callable[[Matrix, Columns], RoundTrip]


#: Name -> method, from the most bits to the fewest.
METHODS: Mapping[str, Method] = {
    "llm-int8": Method("LLM.int8()", llm_int8),
    "absmax-8-row": Method("RTN absmax, 8 bits, per row", lambda weights, _inputs: absmax(weights, 8, per_row=True)),
    "absmax-8-tensor": Method(
        "RTN absmax, 8 bits, per tensor", lambda weights, _inputs: absmax(weights, 8, per_row=False)
    ),
    "nf4": Method("NF4, blocks of 64, double quantization", lambda weights, _inputs: nf4(weights)),
    "absmax-4-row": Method("RTN absmax, 4 bits, per row", lambda weights, _inputs: absmax(weights, 4, per_row=True)),
    "absmax-4-tensor": Method(
        "RTN absmax, 4 bits, per tensor", lambda weights, _inputs: absmax(weights, 4, per_row=False)
    ),
}
