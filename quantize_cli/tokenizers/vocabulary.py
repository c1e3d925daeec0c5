"""From tokenizer files of a checkpoint to GGUF tokenizer metadata, as the reference converter writes it.

A family's vocabulary is a value: the kinds to try, and the keys to add. `vocabularies.py` has the ready ones. A new
family is a value, and a new kind is one file in `kinds/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quantize_cli.checkpoints.sidecars import Json, Sidecars
from quantize_cli.errors import CheckpointError, UsageError, shown
from quantize_cli.gguf_file.fields import Field, ValueType, field, merged
from quantize_cli.tokenizers.fields import mistral_fields, special_fields, token_fields
from quantize_cli.tokenizers.json_values import ID_LIMIT, mapping, sequence
from quantize_cli.tokenizers.kinds.base import Kind, Tokens
from quantize_cli.tokenizers.loads import check_loads
from quantize_cli.tokenizers.pre_tokenizers import check_name
from quantize_cli.tokenizers.source import TOKENIZER_MODEL, Source
from quantize_cli.tokenizers.special_tokens import read_special_tokens

#: Vocabularies in use end near 300,000 tokens; a config.json that asks for more than this is damaged.
_MAX_VOCAB_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Extra:
    """A key that a family adds to those of every vocabulary; its value is the first that is present.

    `setting` names a boolean of tokenizer_config.json, `role` a special token whose id is the value, `token` a token
    whose id is the value, by its text or by its name in tokenizer_config.json, `number` an id in config.json, `listed`
    the ids in generation_config.json whose first is the value if there are several, and `default` is the value
    otherwise. The key is left out if there is no value, or if a condition does not hold. A key that is there already
    keeps its place and gets the value.
    """

    key: str
    type: ValueType
    setting: str | None = None
    role: str | None = None
    token: str | None = None
    number: str | None = None
    listed: str | None = None
    default: Json = None
    first: bool = False  #: whether the key comes before the vocabulary, or after it
    kind: Kind | None = None  #: condition: the vocabulary is stored in this way
    vocab_size: int | None = None  #: condition: config.json gives this vocab_size
    hidden_size: int | None = None  #: condition: config.json gives this hidden_size


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The vocabularies that a family may have."""

    kinds: tuple[Kind, ...]  #: the first match wins
    fields: tuple[Extra, ...] = ()
    roles: tuple[tuple[str, str], ...] = ()  #: role and text of its token, for roles that the files leave open
    hf_class: str | None = None  #: the tokenizer class that transformers takes, which overrides that of the files


@dataclass(frozen=True, slots=True)
class VocabularyFields:
    """The metadata of a vocabulary, and notes about it for the user."""

    fields: tuple[Field, ...]  #: `tokenizer.*`, in the reference converter's order
    notes: tuple[str, ...]  #: sentences
    recognised_by: str | None = None  #: what told the pre-tokenizer: "user", "hash" ...; None if the kind fixes it


def read_vocabulary(
    vocabulary: Vocabulary,
    sidecars: Sidecars,
    config: Mapping[str, Json],
    pre_tokenizer: str | None = None,
    *,
    rows: int | None = None,
) -> VocabularyFields:
    """Read the vocabulary of a checkpoint; what comes back is what llama.cpp loads beside an embedding of `rows` rows.

    Args:
        vocabulary: The vocabularies that the family may have.
        sidecars: The checkpoint's small files.
        config: The values of config.json, with those of its `text_config`.
        pre_tokenizer: The `tokenizer.ggml.pre` name that the user chose; without one it is recognised.
        rows: Rows of token_embd.weight. The vocabulary is padded to as many tokens, and added tokens beyond them are
            left out with a note; without it, `vocab_size` takes its place.

    Raises:
        CheckpointError: A tokenizer file is missing or damaged, contradicts config.json, takes too much time or memory
            to read, or makes a vocabulary that llama.cpp does not load.
        UnsupportedError: The kind of tokenizer, or its pre-tokenizer, is not known.
        UsageError: `pre_tokenizer` is not a known name, or the vocabulary does not have a pre-tokenizer to choose.
    """
    if pre_tokenizer is not None:
        check_name(pre_tokenizer)
    if rows is not None and rows > _MAX_VOCAB_SIZE:
        raise CheckpointError(
            f"The embedding has {rows:,} rows, but a vocabulary has at most {_MAX_VOCAB_SIZE:,} tokens; take the model "
            "from a source you trust."
        )
    source = Source(
        sidecars,
        _vocab_size(config, sidecars),
        rows,
        pre_tokenizer,
        vocabulary.hf_class,
        takes_pieces=any(kind.file == TOKENIZER_MODEL for kind in vocabulary.kinds),
    )
    kind = _kind(vocabulary, source)
    tokens = kind.read(source)
    check_loads(tokens, kind, source)
    if tokens.special is not None:
        fields = [*mistral_fields(tokens, tokens.special)]
    else:
        extras = [extra for extra in vocabulary.fields if _applies(extra, kind, source)]
        fields = [
            *_extra_fields((extra for extra in extras if extra.first), tokens, source),
            *token_fields(tokens),
            *special_fields(
                read_special_tokens(source, id_limit=tokens.id_limit, otherwise=_roles(vocabulary, tokens))
            ),
            *_extra_fields((extra for extra in extras if not extra.first), tokens, source),
        ]
    by = tokens.recognised_by if pre_tokenizer is None else "user"
    return VocabularyFields(merged(fields), (*source.notes, *tokens.notes), by)


def _vocab_size(config: Mapping[str, Json], sidecars: Sidecars) -> int | None:
    size = config.get("vocab_size", mapping(config.get("text_config")).get("vocab_size"))
    if size is not None and (type(size) is not int or not 0 < size <= _MAX_VOCAB_SIZE):
        raise CheckpointError(
            f"{sidecars.where('config.json')} gives vocab_size as {shown(size)}, "
            f"but it must be a whole number from 1 to {_MAX_VOCAB_SIZE}; download it again."
        )
    return size


def _kind(vocabulary: Vocabulary, source: Source) -> Kind:
    """Find the way in which the checkpoint stores its vocabulary."""
    kind = next((kind for kind in vocabulary.kinds if kind.applies(source)), None)
    if kind is None:
        files = " or ".join(sorted({kind.file for kind in vocabulary.kinds}))
        raise CheckpointError(f"{source.where(files)} is missing; copy it there from the model's repository.")
    if source.pre_tokenizer is not None and not kind.has_pre_tokenizer:
        raise UsageError(
            f"{source.where(kind.file)} holds a SentencePiece vocabulary, which does not have a pre-tokenizer to "
            "choose; leave --pre-tokenizer out."
        )
    return kind


def _roles(vocabulary: Vocabulary, tokens: Tokens) -> dict[str, int]:
    return {role: tokens.tokens.index(text) for role, text in vocabulary.roles if text in tokens.tokens}


def _applies(extra: Extra, kind: Kind, source: Source) -> bool:
    return (
        extra.kind in (None, kind)
        and extra.vocab_size in (None, source.vocab_size)
        and extra.hidden_size in (None, source.config.get("hidden_size"))
    )


def _extra_fields(extras: Iterator[Extra], tokens: Tokens, source: Source) -> Iterator[Field]:
    for extra in extras:
        value = _value(extra, tokens, source)
        if value is not None:
            yield field(extra.key, extra.type, value)


def _value(extra: Extra, tokens: Tokens, source: Source) -> Json:
    if extra.setting and isinstance(flag := source.tokenizer_config.get(extra.setting), bool):
        return flag
    if extra.role:
        return read_special_tokens(source, roles=(extra.role,)).ids.get(extra.role, extra.default)
    if extra.token:
        entry = source.tokenizer_config.get(extra.token, extra.token)
        text = mapping(entry).get("content", entry)
        return tokens.tokens.index(text) if text in tokens.tokens else extra.default
    if extra.number and _is_id(number := source.config.get(extra.number)):
        return number
    if extra.listed:
        ids = sequence(source.json("generation_config.json").get(extra.listed))
        return ids[0] if len(ids) > 1 and _is_id(ids[0]) else extra.default
    return extra.default


def _is_id(value: Json) -> bool:
    return type(value) is int and 0 <= value < ID_LIMIT
