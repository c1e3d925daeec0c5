"""Model families: (config.json, tensor headers) -> metadata, tensor recipes and traits; no weight is read.

A model that is a GGUF file already says all that itself (converted.py).
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from gguf import MODEL_ARCH_NAMES

from quantize_cli.architectures.config import Config, Json, read_config
from quantize_cli.architectures.description import ModelDescription, Traits
from quantize_cli.architectures.families.llama import LLAMA
from quantize_cli.architectures.families.mistral import MISTRAL
from quantize_cli.architectures.families.qwen2 import QWEN2
from quantize_cli.architectures.families.qwen3 import QWEN3
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.from_gguf import describe_converted
from quantize_cli.architectures.general import add_general
from quantize_cli.architectures.recipes import tensor_recipes
from quantize_cli.architectures.sizes import add_hyperparameters, dimensions
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError
from quantize_cli.gguf_file.bridge import collected_fields, new_writer
from quantize_cli.tokenizers.vocabulary import read_vocabulary

#: `architectures` of config.json -> family.
FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": MISTRAL,
    "Qwen2ForCausalLM": QWEN2,
    "Qwen3ForCausalLM": QWEN3,
}


def describe(checkpoint: Checkpoint, pre_tokenizer: str | None = None) -> ModelDescription:
    """Everything about the GGUF file to be made of `checkpoint` that does not depend on the target format.

    `pre_tokenizer` names the pre-tokenizer where it cannot be recognised. The metadata lacks
    general.quantization_version and general.file_type, which belong at its end.

    Raises:
        CheckpointError: config.json is missing or damaged, or tensors are missing or contradict it.
        UnsupportedError: the architecture, a tensor or its dtype is one that this version cannot convert.
        UsageError: a pre-tokenizer is named that is unknown, or where there is none to choose.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        if pre_tokenizer is not None:
            raise UsageError(
                f"{checkpoint.name} is a GGUF model, which names its pre-tokenizer itself; leave --pre-tokenizer out."
            )
        return describe_converted(checkpoint)
    values = read_config(checkpoint.folder)
    path = checkpoint.folder / "config.json"
    family = _family(values.get("architectures"), path)
    config = _with_defaults(family, Config(path, checkpoint.name, values))
    sizes = dimensions(config)
    recipes = tensor_recipes(family, config, sizes, checkpoint.infos)

    architecture = MODEL_ARCH_NAMES[family.architecture]
    writer = new_writer(architecture)
    add_general(writer, config, sum(math.prod(recipe.shape) for recipe in recipes))
    add_hyperparameters(writer, config)
    family.add_metadata(writer, config, sizes)
    vocabulary = read_vocabulary(family.vocabulary, FolderSidecars(checkpoint.folder), config.values, pre_tokenizer)
    traits = Traits(architecture, sizes.layers, sizes.heads, sizes.kv_heads)
    return ModelDescription((*collected_fields(writer), *vocabulary.fields), recipes, traits)


def _family(architectures: Json, path: Path) -> Family:
    if not isinstance(architectures, list) or not architectures:
        raise CheckpointError(f"{path} lacks architectures, the list that names the model's family.")
    name = architectures[0]
    if not isinstance(name, str) or name not in FAMILIES:
        raise UnsupportedError(f"{path} names the architecture {name!r:.80}, but supported are {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def _with_defaults(family: Family, config: Config) -> Config:
    """`config` with what its model_type's configuration class in transformers would fill in."""
    if config.get("model_type") != family.model_type:
        return config
    filled = replace(config, values={**family.defaults, **config.values})
    derived = {name: derive(filled) for name, derive in family.derived.items() if filled.get(name) is None}
    return replace(filled, values={**filled.values, **derived})
