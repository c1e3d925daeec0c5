"""Mistral 4: DeepSeek's latent attention, and experts in stacks that stay joined. It has Mistral 3's class."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.families.deepseek import DEEPSEEK2
from quantize_cli.architectures.family import Part, leave_out_tied_head, rename
from quantize_cli.architectures.latent_attention import LATENT_ATTENTION
from quantize_cli.architectures.parts import FFN, FFN_NORM, SHARED_EXPERT_FFN, dense_first, sparse_rest
from quantize_cli.tokenizers.vocabularies import MISTRAL4 as VOCABULARY

_EXPERTS = Part(("ffn_gate_inp.weight", "ffn_gate_up_exps.weight", "ffn_down_exps.weight"), sparse_rest)

MISTRAL4 = replace(
    DEEPSEEK2,
    architecture="mistral4",
    vocabulary=VOCABULARY,
    parts=(LATENT_ATTENTION, FFN_NORM, FFN.among(dense_first), _EXPERTS, SHARED_EXPERT_FFN.among(sparse_rest)),
    namings=(leave_out_tied_head, rename(r"(\.experts\.(?:gate_up|down)_proj)$", r"\1.weight")),
    sizes={**DEEPSEEK2.sizes, "two_expert_ffn": lambda sizes: 2 * sizes.known("expert_ffn")},
    shapes={"ffn_gate_up_exps.weight": ("experts", "two_expert_ffn", "hidden")},
    foldings=(),
)
