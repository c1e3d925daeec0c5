"""A vocabulary and a model's rows: llama.cpp wants as many tokens as the embedding has rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quantize_cli.errors import CheckpointError, listed, shown
from quantize_cli.tokenizers.source import Source
from quantize_cli.tokenizers.tokenizer_file import TOKENIZER_JSON


@dataclass(frozen=True, slots=True)
class Cut:
    """A token beyond the rows of the model."""

    id: int
    text: str
    where: str  #: its file in messages


def cut_tokens(source: Source, size: int) -> list[Cut]:
    """Return the added tokens of tokenizer.json, and of the files beside it, with ids from `size` on.

    Raises:
        CheckpointError: Another token has such an id, or two tokens have the same one.
    """
    file, where = source.tokenizer_file, source.where(TOKENIZER_JSON)
    added = {token.text for token in file.added}
    beyond = min(((i, text) for i, text in file.tokens() if i >= size and text not in added), default=None)
    if beyond is not None:
        i, text = beyond
        raise CheckpointError(f"{where} has the token {shown(text)} with the id {i}, {_reason(source, size)}.")
    if len(set(file.ids)) < len(file.ids):
        owner: dict[int, str] = {}
        i, text = next((i, text) for i, text in file.tokens() if owner.setdefault(i, text) != text)
        raise CheckpointError(f"{where} gives {shown(owner[i])} and {shown(text)} the same id, {i}; download it again.")
    return [Cut(token.id, token.text, token.origin or where) for token in file.added if token.id >= size]


def _reason(source: Source, size: int) -> str:
    if source.size is None:
        return f"but only {size} tokens; download it again"
    rows = f"vocab_size is {size}" if source.vocab_size == size else f"token_embd.weight has {size} rows"
    return (
        f"for which the model does not have a row, because {rows}; take the tokenizer files that belong to the "
        "weights, or remove the token if the model does not use it"
    )


def left_out(cut: Sequence[Cut], size: int) -> Iterator[str]:
    """Report tokens without a row in the model, such as the image token of Gemma 3 1B; the reference refuses them."""
    if cut:
        names = listed([f"{shown(token.text)} ({token.id}) of {token.where}" for token in cut])
        yield f"Tokens beyond the model's {size} rows are left out: {names}."
