"""Tensors without a place whose names tell where they come from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from quantize_cli.architectures.diagnosis.text import places, telling
from quantize_cli.architectures.examine import Findings
from quantize_cli.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Leftover:
    """Names that tell of something other than a plain checkpoint."""

    names: str  #: regular expression that a tensor's name must have
    what: str
    advice: str


#: The first row that matches any tensor counts.
LEFTOVERS = (
    Leftover(
        r"lora_|\.base_layer\.|\.modules_to_save\.|\.original_module\.|\.hada_w|\.lokr_|\.ia3_|\.vera_|\.oft_",
        "weights of an adapter beside the model's own",
        "merge the adapter into its base model (merge_and_unload() of peft), and save that",
    ),
    Leftover(
        r"prompt_embeddings|prompt_encoder",
        "a trained prompt, which is not a part of a model's weights",
        "take the model that the prompt was trained for",
    ),
    Leftover(
        r"flat_param",
        "weights that FSDP has laid end to end",
        "gather them (a full state dict of FSDP), and save the model again",
    ),
    Leftover(
        r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module|_ddp_module)\.|^module\.|"
        r"^base_model\.|^(student|policy|actor|llm|backbone|net)\.",
        "tensors whose names have the prefix of a wrapper, such as DDP, FSDP, torch.compile, peft or a trainer",
        "unwrap the model before it is saved, or remove the prefix from the names",
    ),
    Leftover(
        r"exp_avg|optimizer|momentum_buffer|master_weights|(^|\.)(ema|optim)[._]|fp32_flat_groups",
        "the state of an optimizer",
        "save the model alone",
    ),
    Leftover(
        r"input_quantizer|weight_quantizer|fake_quant|activation_post_process|observer|_amax$",
        "measurements of a quantization that has not been finished",
        "take the model as it was before",
    ),
    Leftover(
        r"medusa|^heads\.\d|^\d+\.(\d+\.)?linear\.",
        "heads of Medusa, which predict further tokens",
        "take the base model, or remove the heads",
    ),
    Leftover(
        r"eagle|^midlayer\.|^(d2t|t2d)$|^fc\.weight$",
        "a draft model of EAGLE, which cannot work without its base model",
        "take the base model",
    ),
    Leftover(
        r"^(model\.)?(score|classifier|classification_head|regression_head|reward_head|value_head|v_head|summary|qa_outputs)\.",
        "the head of a classifier, or of a reward or value model",
        "take the language model that it was made from",
    ),
    Leftover(
        r"\.(c_attn|query_key_value|W_pack|Wqkv|qkv_proj|in_proj_weight|gate_up_proj|linear_fc1|linear_qkv)\.|"
        r"\.mlp\.(w12|dense_h_to_4h)\.",
        "several projections in one tensor, which models of this class have apart",
        "check architectures in config.json, or save the model with transformers",
    ),
)


def leftover(found: Findings) -> UnsupportedError | None:
    """Name where tensors without a place come from, if their names tell."""
    infos = telling(found)
    placed = [source.name for tensor in found.named.values() for source in tensor.sources]
    for row in LEFTOVERS:
        pattern = re.compile(row.names)
        matching = [info for info in infos if pattern.search(info.name)]
        # Where tensors with a place have such names too, they are the family's own ("backbone." of Nemotron-H).
        if matching and not any(map(pattern.search, placed)):
            return UnsupportedError(f"{found.raw.name} holds {row.what} ({places(matching)}); {row.advice}.")
    return None
