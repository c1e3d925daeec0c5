"""What llama.cpp demands of a model's vocabulary (src/llama-vocab.cpp, `llama_vocab::impl::load`)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantize_cli.architectures.hyperparameters import Hyperparameters
from quantize_cli.architectures.origin import Origin
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.tokenizers.pre_tokenizers import known_names
from quantize_cli.tokenizers.token_types import TokenType

#: Key that names the kind of tokenizer. llama.cpp does not load a model without it.
MODEL = "tokenizer.ggml.model"

_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_MERGES = "tokenizer.ggml.merges"
_PRE = "tokenizer.ggml.pre"
_CHARSMAP = "tokenizer.ggml.precompiled_charsmap"

#: Kinds of tokenizer for models without a vocabulary.
WITHOUT_TOKENS = frozenset({"none", "no_vocab"})
#: Kinds of tokenizer with merges and a named pre-tokenizer.
_BPE = frozenset({"gpt2", "hybriddna", "whitespace"})
#: Kind of tokenizer with merges and a pre-tokenizer of its own.
_GEMMA = "gemma4"
#: Kinds of tokenizer that read the number of a byte token from its text.
_WITH_BYTES = _BPE | {"llama", "t5", _GEMMA}
_KINDS = WITHOUT_TOKENS | _WITH_BYTES | {"bert", "rwkv", "plamo2", "test"}
#: The pre-tokenizers whose vocabulary may lack merges.
_WITHOUT_MERGES = frozenset({"kimi-k2"})

_BYTE_LETTERS = 3  #: the loader takes the digits behind "<0x"

_ROLES = ("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "prefix", "suffix", "middle")
_FILLING = ("pre", "suf", "mid", "pad", "rep", "sep")
_SWITCHES = (
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
)

#: Key -> its type. A number of a token that the vocabulary does not have is left out by the loader, with a warning.
_SCALARS: Mapping[str, ValueType] = {
    _PRE: ValueType.STRING,
    "tokenizer.ggml.token_type_count": ValueType.UINT32,
    **{f"tokenizer.ggml.{role}_token_id": ValueType.UINT32 for role in _ROLES},
    **{f"tokenizer.ggml.fim_{role}_token_id": ValueType.UINT32 for role in _FILLING},
    **{f"tokenizer.ggml.{name}": ValueType.BOOL for name in _SWITCHES},
}


@dataclass(frozen=True, slots=True)
class _Array:
    """An array that the loader reads."""

    items: frozenset[ValueType]
    per_token: bool = False  #: whether it has an item, or more, for each token
    read_by: Callable[[str], bool] = lambda _kind: True  #: whether the loader reads it for a kind of tokenizer


#: Key -> what the loader wants of it.
_ARRAYS: Mapping[str, _Array] = {
    _TOKENS: _Array(frozenset({ValueType.STRING})),
    "tokenizer.ggml.scores": _Array(frozenset({ValueType.FLOAT32, ValueType.INT32}), per_token=True),
    _TYPES: _Array(frozenset({ValueType.INT32}), per_token=True),
    "tokenizer.ggml.suppress_tokens": _Array(frozenset({ValueType.INT32})),
    _MERGES: _Array(frozenset({ValueType.STRING}), read_by=lambda kind: kind in _BPE or kind == _GEMMA),
    _CHARSMAP: _Array(frozenset({ValueType.UINT8, ValueType.INT8}), read_by=lambda kind: kind == "t5"),
}


def count_tokens(model: Hyperparameters, origin: Origin) -> int:
    """Return the number of tokens that llama.cpp finds in a model that has `MODEL`.

    Raises:
        CheckpointError: It would not load the vocabulary.
    """
    kind = model.fields[MODEL]
    if kind.type is not ValueType.STRING:
        raise origin.refusal(MODEL, f"{kind.type.name}, but llama.cpp wants STRING")
    if kind.value not in _KINDS:
        raise origin.refusal(MODEL, f"{shown(kind.value)}, but llama.cpp knows {', '.join(sorted(_KINDS))}")
    for key, wanted in _SCALARS.items():
        held = model.fields.get(key)
        early = kind.value not in WITHOUT_TOKENS or key in (_PRE, "tokenizer.ggml.token_type_count")
        if early and held is not None and held.type is not wanted:
            raise origin.refusal(key, f"{_type(held)}, but llama.cpp wants {wanted.name}")
    if kind.value in WITHOUT_TOKENS:
        return model.natural("vocab_size") or 0
    return _Vocabulary(model.fields, str(kind.value), origin).checked()


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    fields: Mapping[str, Field]
    kind: str
    origin: Origin

    def checked(self) -> int:
        """Return the number of tokens."""
        self._check_parts()
        tokens = self.fields[_TOKENS].value
        for key, wanted in _ARRAYS.items():
            held = self.fields.get(key)
            if held is None or not wanted.read_by(self.kind):
                continue
            if held.type is not ValueType.ARRAY or held.item_type not in wanted.items:
                names = " or ".join(sorted(item.name for item in wanted.items))
                raise self.origin.refusal(key, f"{_type(held)}, but llama.cpp wants a list of {names}")
            if wanted.per_token and len(held.value) < len(tokens):
                raise self.origin.refusal(
                    key, f"a list of {len(held.value)}, but the vocabulary has {len(tokens)} tokens"
                )
        self._check_tokens(tokens)
        if self.kind == "t5" and _CHARSMAP in self.fields:
            self._check_charsmap(self.fields[_CHARSMAP].value)
        return len(tokens)

    def _check_parts(self) -> None:
        pre = self.fields.get(_PRE)
        named = pre.value if pre is not None else ""
        if self.kind in _BPE and named and named not in known_names():
            raise self.origin.refusal(_PRE, f"{shown(named)}, which llama.cpp does not know")
        merged = self.kind == _GEMMA or (self.kind in _BPE and named not in _WITHOUT_MERGES)
        for key in (_TOKENS, *([_MERGES] if merged else [])):
            if key not in self.fields:
                raise CheckpointError(
                    f"{self.origin.where} leads to a file without {key}, and llama.cpp does not load a tokenizer of "
                    f"the kind {self.kind} without it; take the model from another source."
                )

    def _check_tokens(self, tokens: tuple[str | bytes, ...]) -> None:
        where, advice = self.origin.where, "take the model from another source"
        held = [text or f"[EMPTY_{i}]" for i, text in enumerate(tokens)]  # as the loader holds them
        if len(set(held)) < len(held):
            first: dict[str | bytes, int] = {}
            i = next(i for i, text in enumerate(held) if first.setdefault(text, i) != i)
            raise CheckpointError(
                f"{where} leads to a file that llama.cpp does not load: its tokens {first[held[i]]} and {i} are both "
                f"{shown(held[i])}; {advice}."
            )
        types = self.fields.get(_TYPES)
        if types is None or self.kind not in _WITH_BYTES:
            return
        for i, (text, type_) in enumerate(zip(held, types.value, strict=False)):
            if type_ == TokenType.BYTE and len(text.encode() if isinstance(text, str) else text) < _BYTE_LETTERS:
                raise CheckpointError(
                    f"{where} leads to a file that llama.cpp does not load: {_TYPES} marks the token {shown(text)} "
                    f"with the id {i} as a byte, but its text does not name one, as <0x0A> does; {advice}."
                )

    def _check_charsmap(self, values: tuple[int, ...]) -> None:
        """Check that the size in front of the map is less than what follows."""
        start = bytes(value & 0xFF for value in values[:4])
        if len(start) < 4 or struct.unpack("<I", start)[0] + len(start) >= len(values):
            raise self.origin.refusal(_CHARSMAP, f"{len(values)} bytes, but its first four give it another size")


def _type(held: Field) -> str:
    return held.type.name if held.item_type is None else f"a list of {held.item_type.name}"
