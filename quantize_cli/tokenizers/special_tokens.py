"""Special token ids, whether BOS and EOS are added, the normalizer's flags and the chat template.

They come from tokenizer.json, tokenizer_config.json, the chat template files and, for ids that are still missing,
config.json. The `gguf` package has a reader of them (`SpecialVocab`), but its released versions lag behind the
reference converter's, which this follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gguf import GGUFWriter

from quantize_cli.tokenizers.chat_template import ChatTemplate, add_chat_template, read_chat_template
from quantize_cli.tokenizers.files import TokenizerFiles, mapping, sequence
from quantize_cli.tokenizers.post_processor import Roles

_TYPES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_ID_LIMIT = 1 << 32  #: token ids are stored as uint32

_LOWERCASE = "tokenizer.ggml.normalizer.lowercase"
_STRIP_ACCENTS = "tokenizer.ggml.normalizer.strip_accents"

#: GGUF has keys for these types only.
_ADD_ID: dict[str, Callable[[GGUFWriter, int], None]] = {
    "bos": GGUFWriter.add_bos_token_id,
    "eos": GGUFWriter.add_eos_token_id,
    "eot": GGUFWriter.add_eot_token_id,
    "eom": GGUFWriter.add_eom_token_id,
    "unk": GGUFWriter.add_unk_token_id,
    "sep": GGUFWriter.add_sep_token_id,
    "pad": GGUFWriter.add_pad_token_id,
    "mask": GGUFWriter.add_mask_token_id,
}
_ADD_FLAG: dict[str, Callable[[GGUFWriter, bool], None]] = {
    "bos": GGUFWriter.add_add_bos_token,
    "eos": GGUFWriter.add_add_eos_token,
    "sep": GGUFWriter.add_add_sep_token,
}


@dataclass(frozen=True)
class SpecialTokens:
    """What the files say of special tokens; the order of the entries is the order of the keys."""

    ids: dict[str, int]  #: type -> token id
    added: dict[str, bool]  #: type -> whether encoding a text adds the token
    normalizer: dict[str, bool]  #: GGUF key -> flag
    chat_template: ChatTemplate | None

    def add_to(self, writer: GGUFWriter) -> None:
        """Add the keys; types that GGUF has no key for are left out."""
        for type_, token_id in self.ids.items():
            if type_ in _ADD_ID:
                _ADD_ID[type_](writer, token_id)
        for type_, flag in self.added.items():
            if type_ in _ADD_FLAG:
                _ADD_FLAG[type_](writer, flag)
        add_chat_template(writer, self.chat_template)
        for key, flag in self.normalizer.items():
            writer.add_bool(key, flag)


def read_special_tokens(
    files: TokenizerFiles, *, types: tuple[str, ...] = _TYPES, vocab_size: int | None = None
) -> SpecialTokens:
    """Read all the files; ids from `vocab_size` on are left out, as are negative ones, which mean "none"."""
    roles = Roles(files.tokenizer_config, types)
    if files.tokenizer:
        roles.read(mapping(files.tokenizer.get("post_processor")))
    ids: dict[str, int] = {}
    for type_, token_id in (*_ids_by_text(roles, files), *_ids_by_number(roles, files)):
        if isinstance(token_id, int) and 0 <= token_id < (vocab_size or _ID_LIMIT):
            ids.setdefault(type_, token_id)
    for type_ in roles.types:
        if isinstance(flag := files.tokenizer_config.get(f"add_{type_}_token"), bool):
            roles.added.setdefault(type_, flag)
    return SpecialTokens(
        ids,
        roles.added,
        dict(_normalizer_flags(mapping(files.tokenizer.get("normalizer")))),
        read_chat_template(files) if files.tokenizer_config else None,
    )


def _ids_by_text(roles: Roles, files: TokenizerFiles) -> Iterator[tuple[str, Any]]:
    """Ids of the tokens that tokenizer_config.json names."""
    if not files.tokenizer_config:
        return
    ids: dict[Any, Any] = {}
    for added in map(mapping, sequence(files.tokenizer.get("added_tokens"))):
        ids.setdefault(str(added.get("content")), added.get("id"))
    for type_ in roles.types:
        entry = roles.config.get(f"{type_}_token")
        text = mapping(entry).get("content", entry)
        if isinstance(text, str):
            yield type_, ids.get(text)


def _ids_by_number(roles: Roles, files: TokenizerFiles) -> Iterator[tuple[str, Any]]:
    """Ids in config.json, or in the part of it that describes the language model."""
    language = mapping(files.config.get("text_config"))
    for type_ in roles.types:
        key = f"{type_}_token_id"
        token_id = files.config.get(key)
        yield type_, language.get(key) if token_id is None else token_id


def _normalizer_flags(normalizer: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    steps = [normalizer]
    while steps:
        step = mapping(steps.pop())
        match step.get("type"):
            case "Lowercase":
                yield _LOWERCASE, True
            case "StripAccents":
                yield _STRIP_ACCENTS, True
            case "BertNormalizer":
                for key, name in ((_LOWERCASE, "lowercase"), (_STRIP_ACCENTS, "strip_accents")):
                    if isinstance(flag := step.get(name), bool):
                        yield key, flag
            case "Sequence":
                steps += reversed(sequence(step.get("normalizers")))
