"""tokenizer.json as the `transformers` library sets it up, without that library.

tokenizer.json is nearly all of it. `transformers` (5.23, the reference converter's) also adds tokens that only
tokenizer_config.json and its older companions name, and its classes name special tokens of their own. Some of its
classes then rebuild the normalizer and pre-tokenizer from scratch; here the file's own are kept, which give the same
wherever the reference converter knows the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer

from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.files import TokenizerFiles, mapping, sequence

NAME = "tokenizer.json"

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

_PLAIN = "TokenizersBackend"
_QWEN2 = "Qwen2Tokenizer"
#: model_type -> the class that is used whatever tokenizer_config.json says.
_FORCED_CLASS = {"mistral": _PLAIN, "mixtral": _PLAIN, "qwen2": _QWEN2}
#: model_type -> the class where tokenizer_config.json says nothing.
_USUAL_CLASS = {"qwen3": _QWEN2}
#: class -> the special tokens that it has where tokenizer_config.json does not set them.
_CLASS_TOKENS: dict[str, dict[str, str]] = {
    "GemmaTokenizer": {
        key: f"<{key.removesuffix('_token')}>" for key in _NAMED if key not in ("sep_token", "cls_token")
    },
    "GPT2Tokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    "GPTNeoXTokenizer": {
        **dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
        "pad_token": "<|padding|>",
    },
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    _QWEN2: dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
}


@dataclass(frozen=True)
class HubTokenizer:
    """A tokenizer with its added tokens, and the texts of those that have a role."""

    backend: Tokenizer
    special_tokens: frozenset[str]
    bos: str | None


def load(files: TokenizerFiles) -> HubTokenizer:
    """Load tokenizer.json and add the tokens that the other files name.

    Raises:
        CheckpointError: tokenizer.json is not a tokenizer.
    """
    path = files.checked_path(NAME)
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing more precise
        raise CheckpointError(f"{path} is not a tokenizer ({error}); check the download.") from error
    backend.no_truncation()
    backend.no_padding()

    class_name = _class_name(files)
    config = _settings(files, class_name)
    declared = _declared_tokens(config, files)
    by_text = {token.content: token for token in declared.values()}
    named = {key: by_text.get(token.content, token) for key, token in _named_tokens(config)}
    extra = list(_extra_tokens(config))

    new = [token for _, token in sorted(declared.items())]
    present = {token.content for token in (*backend.get_added_tokens_decoder().values(), *new)}
    new += [token for token in (*named.values(), *extra) if token.content not in present]
    names = {token.content for token in named.values()}
    for token in new:
        token.special = token.special or token.content in names
    backend.add_tokens(new)
    special = frozenset(token.content for token in (*named.values(), *extra))
    if class_name == _QWEN2:
        backend.add_tokens([AddedToken(text, special=True) for text in special])
    return HubTokenizer(backend, special, bos=named["bos_token"].content if "bos_token" in named else None)


def _settings(files: TokenizerFiles, class_name: str) -> dict[str, Any]:
    """tokenizer_config.json over the class's defaults, with older checkpoints' special_tokens_map.json."""
    config = files.tokenizer_config
    if "added_tokens_decoder" not in config:
        config = {**config, **files.json("special_tokens_map.json")}
    return {**_CLASS_TOKENS.get(class_name, {}), **config}


def _class_name(files: TokenizerFiles) -> str:
    model_type = files.config.get("model_type")
    declared = files.tokenizer_config.get("tokenizer_class") or files.config.get("tokenizer_class")
    name = _FORCED_CLASS.get(str(model_type)) or declared or _USUAL_CLASS.get(str(model_type), _PLAIN)
    name = str(name).removesuffix("Fast")
    # LLaMA 3 checkpoints declare a class whose unknown token and the like they do not have
    return _PLAIN if name == "LlamaTokenizer" and _is_byte_level(files) else name


def _is_byte_level(files: TokenizerFiles) -> bool:
    """Whether tokenizer.json maps bytes to letters, as GPT-2 did, in any of its steps."""
    steps = [files.tokenizer.get(key) for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder")]
    return '"ByteLevel"' in json.dumps(steps)


def _declared_tokens(config: dict[str, Any], files: TokenizerFiles) -> dict[int, AddedToken]:
    """Added tokens by id, as tokenizer_config.json has them, or else the files that came before it."""
    if "added_tokens_decoder" in config:
        entries = mapping(config["added_tokens_decoder"]).items()
        return {int(i): _added_token(entry) for i, entry in entries if i.isdecimal() and isinstance(entry, dict)}
    special = {token.content for _, token in _named_tokens(config)} | {t.content for t in _extra_tokens(config)}
    tokens = {
        i: AddedToken(text, normalized=text not in special, special=text in special)
        for text, i in files.json("added_tokens.json").items()
        if isinstance(i, int)
    }
    for entry in map(mapping, sequence(files.tokenizer.get("added_tokens"))):
        tokens[entry["id"]] = _added_token(entry)
    return tokens


def _named_tokens(config: dict[str, Any]) -> Iterator[tuple[str, AddedToken]]:
    """The tokens with a role: the usual ones first, then the model's own."""
    own = [key for key in config if key.endswith("_token") and key not in _NAMED]
    extra = mapping(config.get("extra_special_tokens"))
    for key, value in [*((key, config.get(key)) for key in (*_NAMED, *own)), *extra.items()]:
        if isinstance(value, (str, dict)):
            yield key, _added_token(value)


def _extra_tokens(config: dict[str, Any]) -> Iterator[AddedToken]:
    """Special tokens without a role."""
    extra = sequence(config.get("extra_special_tokens"))
    for value in extra or sequence(config.get("additional_special_tokens")):
        if isinstance(value, (str, dict)):
            yield _added_token(value)


def _added_token(value: str | dict[str, Any]) -> AddedToken:
    if isinstance(value, str):
        return AddedToken(value, special=True)
    flags = {key: bool(value[key]) for key in _FLAGS if key in value}
    return AddedToken(str(value.get("content", "")), **flags)
