"""Values worth a try at known places: what an attacker would write, and what converters and people really write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fuzz.mutations import Raw

#: Path in a JSON document, with "/" between its keys -> values to put there.
Plants = Mapping[str, Sequence[Any]]

SIZES = (None, 0, -1, 1, 2**31, 2**32, 0.5, "1", [2, 2])

_FLAGS = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
_TOKEN = {"id": 320, "content": "<x>", "special": True, **_FLAGS}
_DECODED = {"content": "<x>", "special": True, **_FLAGS}
_DOUBLING = {"type": "Replace", "pattern": {"Regex": "."}, "content": "aa"}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


#: How texts are tokenized is code and patterns of the checkpoint's, which the `tokenizers` library runs.
TOKENIZER: Plants = {
    "normalizer": (
        {"type": "Sequence", "normalizers": [_DOUBLING] * 24},
        _replace({"Regex": "(a*)*b"}, ""),
        _replace({"Regex": "(?=(.*)*x)"}, "y"),
        _replace({"Regex": "("}, "abc"),
        _replace({"String": ""}, "abc"),
        {"type": "Prepend", "prepend": "a" * 1_000_000},
        {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"type": "Precompiled", "precompiled_charsmap": "BAAAAAEAAAD/////AAAAAA=="},
        {"type": "Lowercase"},
    ),
    "pre_tokenizer": (
        _split("(.+)+$"),
        _split("(?:(?:a|b|.)*)*x"),
        _split("(\\w+\\s?)*\\d{50}"),
        _split(""),
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "Sequence", "pretokenizers": []},
        {"type": "Whitespace"},
    ),
    "decoder": (None, {"type": "ByteFallback"}, {"type": "WordPiece", "prefix": "##", "cleanup": True}),
    "post_processor": (None, {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 2**40]}),
    "model/type": ("Unigram", "WordPiece", "WordLevel", "BPE"),
    "model/continuing_subword_prefix": ("##", "a", "▁"),
    "model/end_of_word_suffix": ("</w>", "e"),
    "model/unk_token": ("<absent>", "a", ""),
    "model/dropout": (0.5, 1.0, -1.0, 7),
    "model/vocab": ({}, {"a": 0}, {"a": 0, "b": 0}, {"a": 2**31}, {"a": -1}, {"": 0}, [["a", 0.0]]),
    "model/merges": ([], ["a b"], [["a", "b"]], ["a"], ["a b c"], [["a", ""]], ["a b"] * 1000),
    "model/byte_fallback": (True, False),
    "model/ignore_merges": (True,),
    "truncation": ({"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 5},),
    "padding": (
        {
            "strategy": {"Fixed": 10**6},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "x",
        },
    ),
    "added_tokens": (
        [_TOKEN],
        [{**_TOKEN, "id": 10**9}],
        [{**_TOKEN, "id": -1}],
        [{**_TOKEN, "content": "", "special": False}],
        [{**_TOKEN, "content": "a\0", "special": False}],
        [{**_TOKEN, "id": 5}, {**_TOKEN, "id": 6}],
        [{**_TOKEN, "id": 320 + i, "content": f"<{i}>"} for i in range(2000)],
    ),
}

#: tokenizer_config.json, special_tokens_map.json and added_tokens.json.
TOKENIZER_SETTINGS: Plants = {
    "added_tokens_decoder": (
        {"320": _DECODED},
        {Raw(f'"{"9" * 5000}"'): _DECODED},
        {"-1": _DECODED},
        {"x": _DECODED},
        {"٣": _DECODED},
        {"5": _DECODED, "05": _DECODED},
        {"5": {**_DECODED, "content": "a\0b"}},
    ),
    **{f"{role}_token": ("<absent>", "a", {}, _DECODED) for role in ("bos", "eos", "pad", "unk", "sep", "mask")},
    "tokenizer_class": ("LlamaTokenizer", "PreTrainedTokenizerFast", "GPT2Tokenizer", "T5Tokenizer", "", 3),
    "chat_template": (
        [],
        [{"name": "default", "template": "x"}],
        [{"name": "a b/../c\n", "template": "x"}],
        [{"name": "a", "template": "x"}, {"name": "a", "template": "y"}],
        {"default": "x"},
        "{% for",
        "x" * 1_000_000,
    ),
    "add_bos_token": (None, 1, "true"),
    "<new>": (320, 10**9, -1),
    "a": (5,),
}

CONFIG: Plants = {
    "architectures": ([], None, ["LlamaModel"], ["LlamaForCausalLM", "x"], ["\x1b[31m"], ["BertForMaskedLM"], [None]),
    **dict.fromkeys(("max_position_embeddings", "rms_norm_eps", "vocab_size", "num_hidden_layers"), SIZES),
    **dict.fromkeys(("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"), SIZES),
    **dict.fromkeys(("head_dim", "sliding_window", "moe_intermediate_size", "first_k_dense_replace"), SIZES),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), (0, 1, 3, None, 2**31)),
    "rope_scaling": (
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "linear", "factor": 0},
        {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        {"rope_type": "yarn", "factor": None},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "original_max_position_embeddings": 8,
            "low_freq_factor": 1,
            "high_freq_factor": 1,
        },
        {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]},
        {"rope_type": "dynamic", "factor": 2.0},
        {"rope_type": "default"},
        {"factor": 2.0},
        {},
        [],
    ),
    "rope_parameters": ({"rope_theta": 5.0}, {"rope_theta": None, "rope_type": "default"}, {"full_attention": {}}),
    "rope_theta": (None, 0, -1, 1e39, "x"),
    "quantization_config": ({}, {"quant_method": "gptq", "bits": 4}, {"quant_method": "fp8"}, {"quant_method": 5}),
    "num_experts_per_tok": (0, 100, None),
    "text_config": ({}, None, [], {"hidden_size": 64}),
    "layer_types": ([], ["full_attention"], ["x", "y"], ["full_attention"] * 1000),
    "bos_token_id": (10**6, -1, [1, 2], "1"),
    "eos_token_id": (10**6, -1, [1, 2], [], [None], 2**40),
    "tie_word_embeddings": (True, None, "x"),
    "_name_or_path": ("org/model", "/a/b/\x1b[31m", "x" * 10_000),
    "n_group": (0, 3, 100),
    "num_nextn_predict_layers": (0, 2, 10**6, -1),
    "model_type": (None, "bert", "llama4", 5),
    "hidden_act": (None, "relu", "gelu"),
    "q_lora_rank": (None, 0, 1),
}

#: generation_config.json, and the files of embedding models.
DESCRIPTION: Plants = {
    "pooling_mode": ("cls", "max", "mean", None, 5, ["cls"]),
    "pooling_mode_mean_tokens": (True, "x", [1]),
    "temperature": (float("nan"), -1.0, Raw("1e400"), "hot", 10**400),
    "top_k": (2**40, -1, 0.5, True),
    "eos_token_id": (10**6, -1, [], "2", None),
}

_EMPTY = {"dtype": "F32", "data_offsets": [0, 0]}

#: The header of a safetensors file.
TENSORS: Plants = {
    "__metadata__": ({}, None, {"format": "pt"}, {"a": 5}, [], "x", {"a": None}),
    "model.norm.weight": ({**_EMPTY, "dtype": "F64", "shape": [0]},),
    "empty": tuple({**_EMPTY, "shape": shape} for shape in ([0], [0, 2**62], [0] * 70, [2**40, 0])),
    "\x1b[31m": ({**_EMPTY, "dtype": "U8", "shape": [0]},),
    "huge": ({"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 2**66]},),
}

#: Lists of nine of the list before: 9^12 items in 400 bytes of YAML.
_ALIASES = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in b"bcdefghijkl"
)

#: Model cards: their front matter is YAML.
CARDS = tuple(
    b"---\n" + text + b"\n---\n# A model\n"
    for text in (
        *(_ALIASES + key + b": *l" for key in (b"license", b"language", b"datasets", b"base_model", b"model_name")),
        *(_ALIASES + key + b": [*l, {name: *l}]" for key in (b"tags", b"base_model", b"datasets", b"model-index")),
        b"language: &a [*a]",
        b"license: &a {x: *a}",
        b"license: !!python/object/apply:os.system ['true']",
        b"license: 2020-01-01",
        b"license: " + b"[" * 5000,
        b"license: " + b"{a: " * 500,
        b"license: 0x" + b"f" * 20_000,
        b"license: " + b"9" * 5000,
        b"tags: [" + b"a, " * 100_000 + b"b]",
        b"x: " + b"y" * 1_000_000,
        b"\n".join(b"k%d: [{a: b}]" % i for i in range(20_000)),
        b"license: \x00",
        b"license: \xff\xfe",
        b'license: "\\e[31m\\x00"',
        b"license: .nan",
        b"license: 1_000:30:59",
        b"base_model: [null, {}, 5, [a/b]]",
        b"base_model: /\nlicense_link: 5",
        b"datasets: {a: b}",
        b'model_name: "a\\0b"',
        b"? [a, b]\n: c",
        b"<<: {license: mit}\nlicense: x",
        b"%YAML 9.9\n---\nlicense: mit",
        b"license: mit\n...\nlicense: x",
        b"\t- a",
    )
)

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 17\n"

#: What may lie in the place of any file, or nothing.
INSTEAD = (None, b"", b"{}", b"[]", b"null", b"\0" * 100, b"\xff\xfe{}", _LFS_POINTER, b"1" * 10_000)
