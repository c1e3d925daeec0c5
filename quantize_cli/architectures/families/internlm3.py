"""InternLM 3: Llama's decoder with a vocabulary of its own."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.family import leave_out
from quantize_cli.tokenizers.vocabularies import INTERNLM3 as VOCABULARY

INTERNLM3 = replace(
    LLAMA, vocabulary=VOCABULARY, namings=(leave_out(r"^(mlp|vision_model)"),), computed=lambda _sizes: ()
)
