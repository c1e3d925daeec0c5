"""The kinds of input: what is damaged, and how. Each input has a kind and a number, and is always the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from fuzz import seeds
from fuzz.containers import damage_gguf, damage_legacy, damage_sentencepiece
from fuzz.mutations import Raw, damage_bytes, damage_json
from fuzz.seeds import Input

#: A path in a JSON document, and a value worth a try there.
Plant = tuple[tuple[str, ...], Any]
Damage = Callable[[Random, Input], Input]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Args:
        good: Returns good inputs.
        damage: Returns a damaged one.
        run: Whether to quantize the weights; the plan is everything that the others can change.
        format: What to convert to.
    """

    good: Callable[[], Sequence[Input]]
    damage: Damage
    run: bool = False
    format: str = "q8_0"


#: Inputs of the first numbers are good ones, repeated where there are fewer.
GOOD = 16


def damaged(kind: str, number: int) -> Input:
    """Return the input of that number."""
    good = KINDS[kind].good()
    if number < GOOD:
        return good[number % len(good)]
    rng = Random(f"{kind} {number}")
    return KINDS[kind].damage(rng, rng.choice(good))


def _plants(path: str, *values: Any) -> tuple[Plant, ...]:
    return tuple((tuple(path.split(".")), value) for value in values)


_DOUBLED = [{"type": "Replace", "pattern": {"Regex": "."}, "content": "aa"}] * 24
_TOKEN = {"id": 320, "content": "<x>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
_ADDED: tuple[Any, ...] = (
    [{**_TOKEN, "special": True}],
    [{**_TOKEN, "id": 10**9, "special": True}],
    [{**_TOKEN, "id": -1, "special": True}],
    [{**_TOKEN, "content": "", "special": False}],
    [{**_TOKEN, "content": "a\0", "special": False}],
    [{**_TOKEN, "id": 5, "special": True}, {**_TOKEN, "id": 6, "special": True}],
)

#: What decides how texts are tokenized: code and patterns of the checkpoint's, which the `tokenizers` library runs.
TOKENIZER_PLANTS = (
    *_plants(
        "normalizer",
        {"type": "Sequence", "normalizers": _DOUBLED},
        {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": "(?=(.*)*x)"}, "content": "y"},
        {"type": "Replace", "pattern": {"String": ""}, "content": "abc"},
        {"type": "Replace", "pattern": {"Regex": "("}, "content": "abc"},
        {"type": "Prepend", "prepend": "a" * 1_000_000},
        {"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"type": "Precompiled", "precompiled_charsmap": "BAAAAAEAAAD/////AAAAAA=="},
        {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
    ),
    *_plants(
        "pre_tokenizer",
        {"type": "Split", "pattern": {"Regex": "(.+)+$"}, "behavior": "Isolated", "invert": False},
        {"type": "Split", "pattern": {"Regex": "(?:(?:a|b|.)*)*x"}, "behavior": "Removed", "invert": True},
        {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        {"type": "Sequence", "pretokenizers": []},
        {"type": "Whitespace"},
    ),
    *_plants("decoder", None, {"type": "ByteFallback"}, {"type": "WordPiece", "prefix": "##", "cleanup": True}),
    *_plants("post_processor", None, {"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 2**40]}),
    *_plants("model.type", "Unigram", "WordPiece", "WordLevel", "BPE"),
    *_plants("model.continuing_subword_prefix", "##", "a", "▁"),
    *_plants("model.end_of_word_suffix", "</w>", "e"),
    *_plants("model.unk_token", "<absent>", "a", ""),
    *_plants("model.dropout", 0.5, 1.0, -1.0, 7),
    *_plants("model.vocab", {}, {"a": 0}, {"a": 0, "b": 0}, {"a": 2**31}, {"a": -1}, {"": 0}, [["a", 0.0]]),
    *_plants("model.merges", [], ["a b"], [["a", "b"]], ["a"], ["a b c"], [["a", ""]], ["a b"] * 1000),
    *_plants("model.byte_fallback", True, False),
    *_plants("model.ignore_merges", True),
    *_plants("truncation", {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 5}),
    *_plants(
        "padding", {"strategy": {"Fixed": 10**6}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
    ),
    *_plants("added_tokens", *_ADDED),
)

_BLOCK = {
    "content": "<x>",
    "lstrip": False,
    "normalized": False,
    "rstrip": False,
    "single_word": False,
    "special": True,
}
SETTINGS_PLANTS = (
    *_plants(
        "added_tokens_decoder", {"320": _BLOCK}, {Raw('"' + "9" * 5000 + '"'): _BLOCK}, {"-1": _BLOCK}, {"x": _BLOCK}
    ),
    *_plants("added_tokens_decoder", {"5": _BLOCK, "05": _BLOCK}, {"٣": _BLOCK}, {"5": {**_BLOCK, "content": "a\0b"}}),
    *(
        plant
        for role in ("bos", "eos", "pad", "unk", "sep", "mask")
        for plant in _plants(f"{role}_token", "<absent>", "a", {}, _BLOCK)
    ),
    *_plants("tokenizer_class", "LlamaTokenizer", "PreTrainedTokenizerFast", "GPT2Tokenizer", "T5Tokenizer", "", 3),
    *_plants(
        "chat_template",
        [],
        [{"name": "default", "template": "x"}],
        [{"name": "a b/../c\n", "template": "x"}],
        {"default": "x"},
    ),
    *_plants(
        "chat_template", [{"name": "a", "template": "x"}, {"name": "a", "template": "y"}], "{% for", "x" * 1_000_000
    ),
    *_plants("add_bos_token", None, 1, "true"),
    *_plants("<new>", 320, 10**9, -1),
    *_plants("a", 5),
)

CONFIG_PLANTS = (
    *_plants(
        "architectures", [], None, ["LlamaModel"], ["LlamaForCausalLM", "x"], ["\x1b[31m"], ["BertForMaskedLM"], [None]
    ),
    *(
        plant
        for key in ("max_position_embeddings", "rms_norm_eps", "vocab_size", "num_hidden_layers", "hidden_size")
        for plant in _plants(key, None, 0, -1, 1, 2**31, 2**32, 0.5, "1", [])
    ),
    *(
        plant
        for key in ("num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size", "sliding_window")
        for plant in _plants(key, None, 0, -1, 1, 2**32, 0.5, [2, 2])
    ),
    *_plants(
        "rope_scaling",
        {"rope_type": "linear", "factor": 2.0},
        {"rope_type": "linear", "factor": 0},
        {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        {"rope_type": "yarn", "factor": None},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1,
            "high_freq_factor": 1,
            "original_max_position_embeddings": 8,
        },
        {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]},
        {"rope_type": "dynamic", "factor": 2.0},
        {"rope_type": "default"},
        {"factor": 2.0},
        {},
        [],
    ),
    *_plants(
        "rope_parameters", {"rope_theta": 5.0}, {"rope_theta": None, "rope_type": "default"}, {"full_attention": {}}
    ),
    *_plants("rope_theta", None, 0, -1, 1e39, "x"),
    *_plants(
        "quantization_config", {}, {"quant_method": "gptq", "bits": 4}, {"quant_method": "fp8"}, {"quant_method": 5}
    ),
    *_plants("num_local_experts", 0, 1, 3, None, 2**31),
    *_plants("num_experts", 0, 1, 3, None, 2**31),
    *_plants("n_routed_experts", 0, 1, 3, None, 2**31),
    *_plants("num_experts_per_tok", 0, 100, None),
    *_plants("text_config", {}, None, [], {"hidden_size": 64}),
    *_plants("layer_types", [], ["full_attention"], ["x", "y"], ["full_attention"] * 1000),
    *_plants("bos_token_id", 10**6, -1, [1, 2], "1"),
    *_plants("eos_token_id", 10**6, -1, [1, 2], [], [None], 2**40),
    *_plants("tie_word_embeddings", True, None, "x"),
    *_plants("_name_or_path", "org/model", "/a/b/\x1b[31m", "x" * 10_000),
    *_plants("n_group", 0, 3, 100),
    *_plants("num_nextn_predict_layers", 0, 2, 10**6, -1),
    *_plants("model_type", None, "bert", "llama4", 5),
    *_plants("hidden_act", None, "relu", "gelu"),
)

#: Model cards: their front matter is YAML.
CARDS: tuple[bytes, ...] = tuple(
    b"---\n" + text + b"\n---\n# A model\n"
    for text in (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (i, i, b",".join([b"*%c" % (i - 1)] * 9)) for i in range(98, 108))
        + b"license: *k",
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

_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 17\n"
_INSTEAD: tuple[bytes | None, ...] = (None, b"", b"{}", b"[]", b"null", b"\0" * 100, b"\xff\xfe{}", _LFS, b"1" * 10_000)


def _json(
    *names: str, plants: Sequence[Plant] = (), wholes: Mapping[str, Sequence[bytes | None]] | None = None
) -> Damage:
    """Damage one of the documents with these names, or put another in its place."""

    def damage(rng: Random, given: Input) -> Input:
        name = rng.choice([name for name in names if name in given.files])
        content = given.files[name]
        choice = rng.random()
        if choice < 0.1:
            return given.with_file(name, rng.choice((*_INSTEAD, *given.files.values())))
        if choice < 0.6 and wholes and name in wholes:
            return given.with_file(name, rng.choice(wholes[name]))
        if choice < 0.2 or not name.endswith(".json"):
            return given.with_file(name, damage_bytes(rng, content))
        return given.with_file(name, damage_json(rng, content, plants))

    return damage


def _safetensors(rng: Random, given: Input) -> Input:
    """Damage the header of the weights."""
    (name,) = (name for name in given.files if name.endswith(".safetensors"))
    content = given.files[name]
    end = 8 + int.from_bytes(content[:8], "little")
    choice = rng.random()
    if choice < 0.2:
        return given.with_file(name, damage_bytes(rng, content[:end]) + content[end:])
    header = json.loads(content[8:end])
    if choice < 0.3:  # few tensors, so that damages meet
        header = {key: header[key] for key in list(header)[:2]}
        content = content[:end] + bytes(max(entry["data_offsets"][1] for entry in header.values() if "shape" in entry))
    spelled = damage_json(rng, json.dumps(header).encode(), _TENSOR_PLANTS)
    if choice > 0.8:
        spelled += b" " * (-len(spelled) % 8)
    data = content[end:] if choice < 0.9 else damage_bytes(rng, content[end:])
    return given.with_file(name, len(spelled).to_bytes(8, "little") + spelled + data)


_TENSOR_PLANTS = (
    *_plants("__metadata__", {}, None, {"format": "pt"}, {"a": 5}, [], "x", {"a": None}),
    *_plants("model.norm.weight", {"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
    *_plants(
        "empty",
        *(
            {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
            for shape in ([0], [0, 2**62], [0] * 70, [2**40, 0])
        ),
    ),
    *_plants("\x1b[31m", {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}),
    *_plants("huge", {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 2**66]}),
)


def _recognised(damage: Damage) -> Damage:
    """Damage, and often leave the pre-tokenizer to be recognised, which makes the tokenizer encode a text."""

    def apply(rng: Random, given: Input) -> Input:
        found = damage(rng, given)
        return replace(found, options={}) if rng.random() < 0.5 else found

    return apply


def _bytes_of(name: str, damage: Callable[[Random, bytes], bytes]) -> Damage:
    """Damage the file of that name; "" is the one that the library is told."""

    def apply(rng: Random, given: Input) -> Input:
        file = name or given.imatrix or rng.choice(list(given.files))
        return given.with_file(file, damage(rng, given.files[file]))

    return apply


def _with(name: str) -> Callable[[], tuple[Input, ...]]:
    return lambda: tuple(given for given in seeds.checkpoints() if name in given.files)


KINDS: Mapping[str, Kind] = {
    "safetensors": Kind(seeds.checkpoints, _safetensors, run=True),
    "index": Kind(seeds.sharded, _json("model.safetensors.index.json")),
    "config": Kind(seeds.checkpoints, _json("config.json", plants=CONFIG_PLANTS)),
    "card": Kind(seeds.checkpoints, _json("README.md", "generation_config.json", wholes={"README.md": CARDS})),
    "tokenizer.json": Kind(_with("tokenizer.json"), _recognised(_json("tokenizer.json", plants=TOKENIZER_PLANTS))),
    "tokenizer settings": Kind(
        seeds.checkpoints,
        _json(
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "chat_template.jinja",
            plants=SETTINGS_PLANTS,
        ),
    ),
    "tokenizer.model": Kind(_with("tokenizer.model"), _bytes_of("tokenizer.model", damage_sentencepiece)),
    "gguf": Kind(seeds.gguf_files, _bytes_of("", damage_gguf), run=True),
    "imatrix.gguf": Kind(seeds.imatrices, _bytes_of("", damage_gguf), True, "q4_0"),
    "imatrix.dat": Kind(seeds.legacy_imatrices, _bytes_of("", damage_legacy), True, "q4_0"),
}
