"""The table of block types: every type that weights can be quantized to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from threading import Lock

from quantize_cli.blocks.base import BlockType

#: GGML name -> the module, in this package, that holds the type under that name.
_MODULES = {
    "F32": "plain",
    "F16": "plain",
    "BF16": "plain",
    "Q8_0": "legacy.q8_0",
    "Q6_K": "k.q6_k",
    "Q5_K": "k.q5_k",
    "Q5_1": "legacy.q5_1",
    "Q5_0": "legacy.q5_0",
    "Q4_K": "k.q4_k",
    "Q4_1": "legacy.q4_1",
    "Q4_0": "legacy.q4_0",
    "IQ4_NL": "iq4.iq4_nl",
    "IQ4_XS": "iq4.iq4_xs",
    "MXFP4": "fp4.mxfp4",
    "NVFP4": "fp4.nvfp4",
    "Q3_K": "k.q3_k",
    "IQ3_S": "iq3.iq3_s",
    "IQ3_XXS": "iq3.iq3_xxs",
    "Q2_K": "k.q2_k",
    "IQ2_S": "iq2.iq2_s",
    "IQ2_XS": "iq2.iq2_xs",
    "IQ2_XXS": "iq2.iq2_xxs",
    "Q2_0": "few_bits.q2_0",
    "TQ2_0": "few_bits.tq2_0",
    "IQ1_M": "iq1.iq1_m",
    "TQ1_0": "few_bits.tq1_0",
    "IQ1_S": "iq1.iq1_s",
    "Q1_0": "few_bits.q1_0",
}


class _BlockTypes(Mapping[str, BlockType]):
    """The table as a mapping that imports a type's kernels when the type is first asked for."""

    def __init__(self) -> None:
        self._held: dict[str, BlockType] = {}
        # Where threads import modules that share others, Python gives one of them a half-made module rather than wait.
        self._lock = Lock()

    def __getitem__(self, name: str) -> BlockType:
        if name not in self._held:
            module = _MODULES[name]
            with self._lock:
                self._held[name] = getattr(import_module(f"{__package__}.{module}"), name)
        return self._held[name]

    def __contains__(self, name: object) -> bool:
        return name in _MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


#: GGML name -> block type.
BLOCK_TYPES: Mapping[str, BlockType] = _BlockTypes()
