"""What a broken checkpoint is told to be: the likely cause, where it is, and what to do."""

from __future__ import annotations

import pytest
from architectures.broken import add, config, files, remove, rename, reshape
from architectures.diagnosed import Q, load, rows, told

from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.diagnosis.encodings import ENCODINGS
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.architectures.shapes import SHAPES
from quantize_cli.errors import CheckpointError, UnsupportedError

ENDS = r"embed_tokens|lm_head"


NUMBERS = {
    "a token was added": ([reshape(ENDS, rows(513))], "vocab_size 512", "513 rows", "set vocab_size to 513"),
    "rows are padded": ([reshape(ENDS, rows(576))], "576 rows", "set vocab_size to 576"),
    "a vocabulary that is not given": (
        [config(vocab_size=None)],
        "does not give vocab_size, which is then 32000, but",
        "512 rows",
        "set vocab_size to 512",
    ),
    "layers that are not given": (
        [config(num_hidden_layers=None)],
        "does not give num_hidden_layers, which is then 32, but",
        "set num_hidden_layers to 2",
    ),
    "rows were removed": ([reshape(ENDS, rows(500))], "500 rows", "set vocab_size to 500"),
    "only one was resized": (
        [reshape("embed_tokens", rows(513))],
        "embed_tokens.weight' of model.safetensors has 513 rows",
        "lm_head.weight' of model.safetensors has 512 rows",
        "resize both",
    ),
    "vocab_size is smaller": ([config(vocab_size=500)], "vocab_size 500", "512 rows", "set vocab_size to 512"),
    "hidden_size": ([config(hidden_size=320, head_dim=64)], "hidden_size 320", "set hidden_size to 256"),
    "intermediate_size": ([config(intermediate_size=384)], "intermediate_size 384", "set intermediate_size to 512"),
    "key-value heads": (
        [config(num_key_value_heads=4)],
        "num_key_value_heads 4",
        "k_proj.weight",
        "set num_attention_heads to 8 or num_key_value_heads to 2, whichever is true",  # heads of 32 or of 64
    ),
    "heads": ([config(num_attention_heads=8, head_dim=64)], "num_attention_heads 8", "set num_attention_heads to 4,"),
    "head_dim": ([config(head_dim=32)], "head_dim 32", "set head_dim to 64,"),
    "two numbers that would both do": (
        [config(num_attention_heads=8)],
        "num_attention_heads to 4 or ",
        "whichever is true",
    ),
    "a number of the text part": (
        [
            config(intermediate_size=None, text_config={"model_type": "llama", "intermediate_size": 384}),
        ],
        "set text_config.intermediate_size to 512",
    ),
    "a vocabulary of the text part": (
        [reshape(ENDS, rows(513)), config(vocab_size=None, text_config={"model_type": "llama", "vocab_size": 512})],
        "gives text_config.vocab_size 512",
        "set text_config.vocab_size to 513",
    ),
    "later layers": (
        [config(num_hidden_layers=1)],
        "num_hidden_layers 1",
        "model.layers.1.",
        "has 2 layers",
        "set num_hidden_layers to 2",
    ),
    "no later layers": (
        [config(num_hidden_layers=5)],
        "num_hidden_layers 5",
        "no tensor of layer 2",
        "set num_hidden_layers to 2",
    ),
}

EMPTY = {
    "all of ZeRO-3": ([reshape(".", lambda _: [0], "BF16")], "21 tensors without values", "zero_to_fp32.py"),
    "one": ([reshape("q_proj", lambda _: [0])], "2 tensors without values", f"'{Q}.weight' of model.safetensors"),
    "a dimension of 0": ([reshape("up_proj", lambda shape: [0, shape[1]])], "[0, 256]", "save the model again"),
    "no columns": ([reshape("down_proj", lambda shape: [shape[0], 0])], "[256, 0]", "save the model again"),
    "a tensor without a place": ([add("model.x.weight", shape=(0,))], "without values", "'model.x.weight'"),
}

SHAPES_OF_TOOLS = {
    "flattened": (
        [reshape("_proj", lambda shape: [shape[0] * shape[1]])],
        "matrices as vectors",
        "[131072] instead of [256, 512]",
    ),
    "transposed": (
        [reshape(r"(gate|up|down|[kv])_proj", lambda shape: shape[::-1])],
        "transposed matrices",
        "[256, 512] instead of [512, 256]",
    ),
    "cut": (
        [
            reshape(r"(gate|up|[qkv])_proj|lm_head|embed", lambda shape: [shape[0] // 2, shape[1]]),
            reshape(r"(down|o)_proj", lambda shape: [shape[0], shape[1] // 2]),
        ],
        "parts of matrices",
    ),
    "cut but for the embedding": (
        [
            reshape(r"(gate|up|[qkv])_proj", lambda shape: [shape[0] // 2, shape[1]]),
            reshape(r"(down|o)_proj", lambda shape: [shape[0], shape[1] // 2]),
        ],
        "parts of matrices",
        "tensor-parallel",
    ),
    "of another model": (
        [reshape("gate_proj", rows(300)), reshape("up_proj", rows(301))],
        "contradicts the shapes of 4 tensors",
        "[300, 256] instead of [512, 256]",
        "take config.json and weights of the same model",
    ),
    "of another rank": (
        [reshape(r"model\.norm", lambda _: [1, 256])],
        "'model.norm.weight' of model.safetensors has the shape [1, 256] instead of [256]",
    ),
    "a single number": ([reshape("q_proj", lambda _: [])], "has the shape []", "a single number"),
}

TENSORS = {
    "two names of one": (
        [add("embed_tokens.weight", shape=(512, 256))],
        CheckpointError,
        "'embed_tokens.weight' of model.safetensors and 'model.embed_tokens.weight'",
        "remove one",
    ),
    "with and without a prefix": (
        [add("language_model.model.norm.weight", "model.language_model.norm.weight")],
        CheckpointError,
        "2 tensors twice",
        "remove one of each pair",
    ),
    "a shard is missing": (
        [remove(r"layers\.1\.mlp"), files(".", "model-00001-of-00003.safetensors")],
        CheckpointError,
        "lacks the tensors of 2 of its 3 files",
        "model-00002-of-00003.safetensors",
        "download them too",
    ),
    "no head": ([remove("lm_head")], CheckpointError, "lacks lm_head.weight", "set tie_word_embeddings to true"),
    "no embedding": ([remove("embed_tokens")], CheckpointError, "token_embd.weight", "tie_word_embeddings to true"),
    "one tensor": (
        [remove(r"1.*q_proj")],
        CheckpointError,
        "lacks 1 tensor of the GGUF file: ",
        "blk.1.attn_q.weight",
        "repository",
    ),
    "one of each layer": (
        [remove("q_proj")],
        CheckpointError,
        "lacks in every layer the tensors that become attn_q.weight",
        "'LlamaForCausalLM'",
        "check architectures",
    ),
    "a lost layer": (
        [remove(r"layers\.0\.")],
        CheckpointError,
        "lacks every tensor of layer 0, but has later layers",
        "number its layers from 0",
    ),
    "no text": ([rename("^", "vision_tower.")], UnsupportedError, "only tensors of an image or audio part"),
    "of another class": (
        [
            add(f"{Q[:-6]}q_norm.weight", f"{Q[:-6]}k_norm.weight", shape=(64,)),
            add(*(f"{Q[:-6]}{one}_norm.weight".replace(".0.", ".1.") for one in "qk"), shape=(64,)),
            config(model_type="qwen3", head_dim=64),
        ],
        CheckpointError,
        "'LlamaForCausalLM', which does not have",
        "fit Qwen3ForCausalLM",
    ),
    "a prefix": (
        [rename("^", "thinker.")],
        UnsupportedError,
        "'thinker.lm_head.weight' of model.safetensors",
        "'LlamaForCausalLM' has without 'thinker.'",
    ),
    "a prefix of a part": (
        [rename(r"^model\.(?=layers\.1)", "model.decoder.")],
        UnsupportedError,
        "has without 'model.decoder.'",
        "remove this prefix",
    ),
    "no place": (
        [add("model.layers.0.self_attn.something.weight")],
        UnsupportedError,
        "'model.layers.0.self_attn.something.weight' of model.safetensors",
        "do not belong",
        "report it",
    ),
    "no name": ([add("")], UnsupportedError, "'' of model.safetensors", "do not belong"),
    "control characters": ([add("a\x1b[31m")], UnsupportedError, r"'a\x1b[31m'", "do not belong"),
    "another dtype": (
        [reshape("q_proj", list, "C64")],
        UnsupportedError,
        f"'{Q}.weight' of model.safetensors as C64",
        "BF16, F16, F32",
        "save the model in 16 bits",
    ),
}

LEFT = {
    "LoRA": ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"],
    "LoRA beside its layer": [f"{Q}.base_layer.weight"],
    "a trained prompt": ["prompt_embeddings"],
    "FSDP": ["_fsdp_wrapped_module._flat_param"],
    "DDP": ["module.model.layers.0.self_attn.q_proj.weight"],
    "torch.compile": ["_orig_mod.model.layers.0.self_attn.q_proj.weight"],
    "checkpointing": ["model.layers.0._checkpoint_wrapped_module.self_attn.q_proj.weight"],
    "Adam": ["optimizer.state.0.exp_avg"],
    "quantization-aware training": [f"{Q}.input_quantizer._amax"],
    "Medusa": ["medusa_head.0.0.linear.weight"],
    "EAGLE": ["midlayer.self_attn.q_proj.weight", "d2t"],
    "a classifier": ["score.weight"],
    "a value head": ["v_head.summary.weight"],
    "fused projections": ["model.layers.0.self_attn.qkv_proj.weight"],
    "GPT's projections": ["transformer.h.0.attn.c_attn.weight"],
}
TOLD = {
    "LoRA": "merge the adapter into its base model",
    "LoRA beside its layer": "merge the adapter into its base model",
    "a trained prompt": "a trained prompt",
    "FSDP": "gather them",
    "DDP": "unwrap the model",
    "torch.compile": "torch.compile",
    "checkpointing": "unwrap the model",
    "Adam": "the state of an optimizer",
    "quantization-aware training": "has not been finished",
    "Medusa": "Medusa",
    "EAGLE": "EAGLE",
    "a classifier": "the head of a classifier",
    "a value head": "reward or value model",
    "fused projections": "several projections in one tensor",
    "GPT's projections": "several projections in one tensor",
}

#: Name of the case -> tensors that take the place of q_proj.weight: ending, dtype; quant_method; words.
QUANTIZED = {
    "bitsandbytes 4": (
        {
            ".weight": "U8",
            ".weight.absmax": "U8",
            ".weight.quant_map": "F32",
            ".weight.nested_absmax": "F32",
            ".weight.quant_state.bitsandbytes__nf4": "U8",
        },
        None,
        ("by bitsandbytes in 4 bits", "absmax' of model.safetensors as U8", "dequantize()"),
    ),
    "bitsandbytes 8": ({".weight": "I8", ".SCB": "F32"}, None, ("by bitsandbytes in 8 bits", "SCB", "dequantize()")),
    "bitsandbytes stated": ({".weight": "I8"}, "bitsandbytes", ("by bitsandbytes (config.json states", "as I8")),
    "MLX": ({".weight": "U32", ".scales": "BF16", ".biases": "BF16"}, None, ("by MLX", "q_proj.weight' of", "as U32")),
    "GPTQ": (
        {".qweight": "I32", ".qzeros": "I32", ".scales": "F16", ".g_idx": "I32"},
        None,
        ("by GPTQ:", "g_idx", "in 16 bits"),
    ),
    "GPTQ stated": (
        {".qweight": "I32", ".qzeros": "I32"},
        "gptq",
        ("by GPTQ (config.json states quant_method 'gptq')",),
    ),
    "AWQ": ({".qweight": "I32", ".qzeros": "I32", ".scales": "F16"}, None, ("by GPTQ or AWQ", "qweight")),
    "AWQ stated": ({".qweight": "I32", ".qzeros": "I32", ".scales": "F16"}, "awq", ("by AWQ", "qweight")),
    "AutoRound": ({".qweight": "I32", ".g_idx": "I32"}, "auto-round", ("by AutoRound",)),
    "FP8": ({".weight": "F8_E4M3", ".weight_scale_inv": "F32"}, None, ("by FP8", "as F8_E4M3", "config.json again")),
    "FP8 stated": ({".weight": "F8_E4M3", ".weight_scale_inv": "F32"}, "fp8", ("by FP8 (config.json", "as F8_E4M3")),
    "FP8 without scales": ({".weight": "F8_E5M2"}, None, ("by FP8", "as F8_E5M2")),
    "key-value cache": ({".weight": "BF16", ".k_scale": "F32"}, None, ("key-value cache", "k_scale")),
    "compressed-tensors": ({".weight_packed": "I32", ".weight_scale": "BF16"}, None, ("compressed-tensors",)),
    "int8 of compressed-tensors": ({".weight": "I8", ".weight_scale": "F32"}, "compressed-tensors", ("by compressed",)),
    "integers": ({".weight": "I8", ".weight_scale": "F32"}, None, ("a method that stores integers", "as I8")),
    "NVFP4": ({".weight": "U8", ".weight_scale": "F8_E4M3", ".weight_scale_2": "F32"}, None, ("by NVFP4",)),
    "MXFP4": ({".weight_blocks": "U8", ".weight_scales": "U8"}, None, ("by MXFP4",)),
    "EETQ": ({".weight": "I8", ".weight_scales": "F16"}, None, ("by EETQ",)),
    "HQQ": ({".W_q": "U8", ".scale": "F16", ".zero": "F16"}, None, ("by HQQ",)),
    "AQLM": ({".codes": "I8", ".codebooks": "F16", ".scales": "F16"}, None, ("by AQLM",)),
    "VPTQ": ({".centroids.weight": "F16", ".indices": "I32"}, None, ("by VPTQ",)),
    "QuIP#": ({".Qidxs": "I64", ".SU": "F16"}, None, ("by QuIP#",)),
    "ExLlamaV2": ({".q_weight": "I32", ".q_invperm": "I16"}, None, ("by ExLlamaV2",)),
    "ExLlamaV3": ({".trellis": "I16", ".suh": "F16"}, None, ("by ExLlamaV3",)),
    "quanto": ({".weight._data": "I8", ".weight._scale": "BF16"}, None, ("by quanto",)),
    "torchao": ({".weight:int_data": "I8", ".weight:scale": "BF16"}, None, ("by torchao",)),
    "BitNet": ({".weight": "U8", ".weight_scale": "BF16"}, None, ("by BitNet", "config.json again")),
    "FBGEMM": ({".weight": "F8_E4M3", ".weight_scale": "F32"}, "fbgemm_fp8", ("by FBGEMM",)),
    "a method without a row": ({".weight": "I8"}, "new\n", (r"(config.json states quant_method 'new\n')", "as I8")),
}


@pytest.mark.parametrize(("changes", "words"), [(c, w) for c, *w in NUMBERS.values()], ids=NUMBERS)
def test_a_number_of_config_json_that_does_not_fit(make_checkpoint, changes, words):
    told(make_checkpoint, changes, CheckpointError, "config.json", *words)


@pytest.mark.parametrize(("changes", "words"), [(c, w) for c, *w in EMPTY.values()], ids=EMPTY)
def test_tensors_without_values(make_checkpoint, changes, words):
    told(make_checkpoint, changes, CheckpointError, *words)


@pytest.mark.parametrize(("changes", "words"), [(c, w) for c, *w in SHAPES_OF_TOOLS.values()], ids=SHAPES_OF_TOOLS)
def test_shapes_that_tools_leave(make_checkpoint, changes, words):
    told(make_checkpoint, changes, CheckpointError, *words)


@pytest.mark.parametrize(("changes", "kind", "words"), [(c, k, w) for c, k, *w in TENSORS.values()], ids=TENSORS)
def test_tensors_that_are_missing_or_too_many(make_checkpoint, changes, kind, words):
    told(make_checkpoint, changes, kind, *words)


@pytest.mark.parametrize(("names", "words"), [(LEFT[name], TOLD[name]) for name in LEFT], ids=LEFT)
def test_names_that_tell_where_tensors_come_from(make_checkpoint, names, words):
    told(make_checkpoint, [add(*names)], UnsupportedError, repr(names[0]), words)


@pytest.mark.parametrize(("tensors", "method", "words"), QUANTIZED.values(), ids=QUANTIZED)
def test_weights_that_are_quantized_already(make_checkpoint, tensors, method, words):
    changes = [remove(f"{Q}.weight"), *(add(Q + end, dtype=dtype, shape=(256, 1)) for end, dtype in tensors.items())]
    if method is not None:
        changes.append(config(quantization_config={"quant_method": method}))
    told(make_checkpoint, changes, UnsupportedError, "is quantized already", *words)


@pytest.mark.parametrize(("method", "by"), [(method, row.by) for row in ENCODINGS for method in row.methods])
def test_a_stated_method_is_believed_where_tensors_do_not_hold_weights(make_checkpoint, method, by):
    changes = [config(quantization_config={"quant_method": method}), add(f"{Q}.stuff", dtype="I64")]
    told(make_checkpoint, changes, UnsupportedError, f"quantized already, by {by} (config.json states", "stuff")


def test_codes_that_do_not_fit_their_scales(make_checkpoint):
    changes = [
        remove(f"{Q}.weight"),
        add(f"{Q}.weight", dtype="F8_E4M3", shape=(256, 256)),
        add(f"{Q}.weight_scale_inv", dtype="F32", shape=(2, 1)),
        config(quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]}),
    ]
    told(make_checkpoint, changes, CheckpointError, "q_proj.weight_scale_inv' of", "must be", "of shape [2, 2]")


def test_a_dequantized_model_may_keep_its_statement(make_checkpoint):
    record = load()
    config(quantization_config={"quant_method": "gptq"})(record)
    assert describe(make_checkpoint(**record)).recipes


def test_a_stray_tensor_of_a_dequantized_model_is_not_called_quantized(make_checkpoint):
    changes = [config(quantization_config={"quant_method": "gptq"}), add("model.stray.weight")]
    message = told(make_checkpoint, changes, UnsupportedError, "'model.stray.weight'", "do not belong")
    assert "is quantized" not in message


def test_every_tensor_that_a_family_may_have_has_a_shape():
    for family in FAMILIES.values():
        in_layers = {name for part in (*family.parts, *family.optional) for name in part.names}
        names = in_layers | {*family.outside, *family.optional_outside}
        assert names <= {*SHAPES, *family.shapes}, family.architecture
