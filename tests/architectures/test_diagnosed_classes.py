"""What is told of a class that does not convert, and of what else lies in a folder."""

from __future__ import annotations

import pytest
from architectures.broken import config, files, remove
from architectures.diagnosed import load, told
from architectures.refusals import refuse

from quantize_cli.architectures.describe import describe
from quantize_cli.errors import CheckpointError, UnsupportedError

CLASSES = {
    "a typing error": (
        {"architectures": ["LlamaForCasualLM"]},
        "'LlamaForCasualLM'",
        "near names are LlamaForCausalLM",
    ),
    "another text model": ({"architectures": ["MPTForCausalLM"]}, "'MPTForCausalLM'", "--outtype bf16", "GGUF file"),
    "a later version": ({"architectures": ["Gemma9ForCausalLM"]}, "(near names are Gemma"),
    "lower case": ({"architectures": ["llamaforcausallm"]}, "(near names are LlamaForCausalLM"),
    "an ending alone is not near": (
        {"architectures": ["T5ForConditionalGeneration"]},
        "'T5ForConditionalGeneration', which this version cannot convert; if llama.cpp",
    ),
    "nothing near": ({"architectures": ["BertModel"]}, "'BertModel', which this version cannot convert; if llama.cpp"),
    "a classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "a classifier or reward model"),
    "images": ({"architectures": ["SiglipVisionModel"]}, "an image model, not a language model"),
    "CLIP": ({"architectures": ["CLIPModel"]}, "an image model, not a language model"),
    "speech": ({"architectures": ["WhisperForConditionalGeneration"]}, "a speech or audio model"),
    "EAGLE": ({"architectures": ["LlamaForCausalLMEagle3"]}, "a draft model"),
    "peft": ({"architectures": ["PeftModelForCausalLM"]}, "an adapter; merge it"),
    "a language model that diffuses": ({"architectures": ["DiffusionForCausalLM"]}, "cannot convert", "--outtype bf16"),
    "a part of diffusers": ({"architectures": ["FluxPipeline"]}, "a part of a diffusion model"),
    "diffusers": ({"architectures": None, "model_type": None, "_class_name": "UNet2DConditionModel"}, "diffusers"),
    "a scheduler": ({"architectures": None, "model_type": None, "_class_name": "DDIMScheduler"}, "in diffusers"),
    "an adapter": ({"architectures": None, "model_type": None, "peft_type": "LORA"}, "adapter of peft", "merge it"),
    "control characters": ({"architectures": ["a\x1b[31m"]}, r"'a\x1b[31m'", "cannot convert"),
}


@pytest.mark.parametrize(("values", "words"), [(v, w) for v, *w in CLASSES.values()], ids=CLASSES)
def test_classes_that_are_not_supported(make_checkpoint, values, words):
    told(make_checkpoint, [config(**values)], UnsupportedError, "config.json", *words)


@pytest.mark.parametrize("value", ["LlamaForCausalLM", {}, 7, [None], [7], [["LlamaForCausalLM"]]])
def test_architectures_must_be_a_list_of_names(make_checkpoint, value):
    words = f"gives architectures as {value!r}", "a list with the name of a class"
    told(make_checkpoint, [config(architectures=value)], CheckpointError, *words)


@pytest.mark.parametrize("value", [None, []])
def test_the_model_type_names_the_class_that_is_missing(make_checkpoint, value):
    record = load()
    usual = describe(make_checkpoint(**record))
    config(architectures=value)(record)
    description = describe(make_checkpoint(**{**record, "name": "other"}))
    assert description.recipes == usual.recipes
    assert "its model_type, llama, is taken for a LlamaForCausalLM" in description.notes[0]


def test_one_of_several_files_that_are_there(make_checkpoint):
    record = load()
    for change in (remove(r"layers\.1\.mlp"), files(".", "model-00001-of-00002.safetensors")):
        change(record)
    record["files"]["model-00002-of-00002.safetensors"] = ""
    refuse(make_checkpoint(**record), CheckpointError, "1 of its 2 files", "give the folder instead of one file")


@pytest.mark.parametrize("kind", [None, "gpt_neox", 7])
def test_a_class_that_nothing_names(make_checkpoint, kind):
    words = "lacks architectures", "add it", *(["model_type is " + repr(kind)] if kind else [])
    told(make_checkpoint, [config(architectures=None, model_type=kind)], CheckpointError, *words)


INSTEAD = {
    "adapter_config.json": "merge it into its base model",
    "model_index.json": "a diffusion pipeline",
    "params.json": "Hugging Face layout",
    "modules.json": "the part that is the transformer",
}


@pytest.mark.parametrize(("file", "words"), INSTEAD.items())
def test_what_a_folder_without_config_json_is(make_checkpoint, file, words):
    record = load()
    record["files"] = {file: {}}
    refuse(make_checkpoint(**record), UnsupportedError, "config.json is missing", file, words)
