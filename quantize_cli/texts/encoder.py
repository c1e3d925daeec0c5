"""What makes tokens of texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantize_cli.checkpoints.sidecars import Json, Sidecars
from quantize_cli.errors import CheckpointError
from quantize_cli.gguf_file.fields import Field
from quantize_cli.texts.model import Document, Turn
from quantize_cli.tokenizers.encoding import Encoded, Stream, Template, encode

#: What stands between two texts, and between two turns where the model does not have a chat template.
_BETWEEN = "\n\n"

_PREFIX = "tokenizer.ggml."
#: The tokens that chat templates know by a name -> the role of the GGUF key.
_NAMED = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
#: Where llama.cpp adds BOS although the file does not ask for it, or against it (src/llama-vocab.cpp, `load`).
_ADDING_MODELS = frozenset({"llama", "bert"})
_ADDING_PRE_TOKENIZERS = frozenset(
    {
        *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
        *("tekken", "chameleon"),
    }
)
_ALWAYS_ADDING = "gemma4"


class Encoder(Protocol):
    """A tokenizer with the conventions of llama.cpp."""

    @property
    def bos(self) -> int | None:
        """The id of the token that begins every sequence; None if the model does not want one."""
        ...

    def encode(self, kinds: Sequence[Sequence[Document]]) -> tuple[Encoded, ...]:
        """Return one stream of tokens for the documents of each kind, without the BOS of its sequences.

        The documents of one kind are all texts or all conversations.
        """
        ...


@dataclass(frozen=True, eq=False, slots=True)
class ModelEncoder:
    """The encoder of a checkpoint; make one by `encoder_of`."""

    sidecars: Sidecars
    bos: int | None
    size: int  #: number of tokens of the vocabulary
    template: Template | None
    hf_class: str | None

    def encode(self, kinds: Sequence[Sequence[Document]]) -> tuple[Encoded, ...]:
        """Encode the documents of each kind; see `Encoder.encode`.

        Texts have a blank line between them. Special tokens in texts are plain text, as they are to llama-perplexity.

        Raises:
            QuantizeError: See `tokenizers.encoding.encode`.
        """
        streams = [self._stream(documents) for documents in kinds]
        return encode(self.sidecars, streams, self.template, size=self.size, hf_class=self.hf_class)

    def _stream(self, documents: Sequence[Document]) -> Stream:
        conversations = [document.content for document in documents if not isinstance(document.content, str)]
        if conversations and self.template is not None:
            return [[{"role": turn.role, "content": turn.content} for turn in turns] for turns in conversations]
        return _BETWEEN.join(
            document.content if isinstance(document.content, str) else _plain(document.content)
            for document in documents
        )


def _plain(turns: Sequence[Turn]) -> str:
    """Spell a conversation for a model without a chat template."""
    return _BETWEEN.join(f"{turn.role.capitalize()}: {turn.content}" for turn in turns)


def encoder_of(sidecars: Sidecars, metadata: Iterable[Field], *, hf_class: str | None = None) -> ModelEncoder:
    """Return the encoder of a checkpoint.

    Args:
        sidecars: The checkpoint's small files, with its tokenizer.json.
        metadata: The metadata of its GGUF file, which tell the vocabulary's size, BOS and the chat template.
        hf_class: The tokenizer class of transformers that the family fixes.

    Raises:
        CheckpointError: The metadata do not have a vocabulary.
    """
    fields = {field.key: field.value for field in metadata if field.key.startswith("tokenizer.")}
    tokens = fields.get(f"{_PREFIX}tokens")
    if tokens is None:
        raise CheckpointError(
            f"{sidecars.where('tokenizer.json')} does not become a vocabulary of the GGUF file, so texts cannot be "
            "encoded; take a model with a tokenizer."
        )
    ids = {name: i for name, role in _NAMED.items() if (i := _id(fields, role, len(tokens))) is not None}
    content = fields.get("tokenizer.chat_template")
    names = {name: str(tokens[i]) for name, i in ids.items()}
    template = Template(content, names) if isinstance(content, str) else None
    return ModelEncoder(sidecars, ids.get("bos_token") if _adds_bos(fields) else None, len(tokens), template, hf_class)


def _id(fields: Mapping[str, Json], role: str, size: int) -> int | None:
    i = fields.get(f"{_PREFIX}{role}_token_id")
    return i if isinstance(i, int) and 0 <= i < size else None


def _adds_bos(fields: Mapping[str, Json]) -> bool:
    model, pre = fields.get(f"{_PREFIX}model"), fields.get(f"{_PREFIX}pre")
    default = model in _ADDING_MODELS or pre in _ADDING_PRE_TOKENIZERS
    return pre == _ALWAYS_ADDING or bool(fields.get(f"{_PREFIX}add_bos_token", default))
