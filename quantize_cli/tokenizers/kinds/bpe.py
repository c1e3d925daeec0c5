"""Byte-level BPE vocabularies (GPT-2, LLaMA 3, Qwen ...) from tokenizer.json."""

from __future__ import annotations

from gguf import GGUFWriter, TokenType
from tokenizers import Tokenizer

from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.tokenizers import hf_json
from quantize_cli.tokenizers.files import TokenizerFiles, mapping, sequence
from quantize_cli.tokenizers.pre_tokenizers import identify
from quantize_cli.tokenizers.special_tokens import read_special_tokens
from quantize_cli.tokenizers.token_types import BOUNDARY, looks_like_control

NAME = hf_json.NAME
TAKES_PRE_TOKENIZER = True


def applies(files: TokenizerFiles) -> bool:
    """Whether there is a tokenizer.json."""
    return files.has(NAME)


def add(writer: GGUFWriter, files: TokenizerFiles, vocab_size: int | None, pre_tokenizer: str | None) -> None:
    """Add the tokens, padded to `vocab_size`, and the merges."""
    model = mapping(files.tokenizer.get("model")).get("type")
    if model != "BPE":
        raise UnsupportedError(f"{files.path(NAME)} holds a tokenizer of the type {model}, but this family needs BPE.")
    merges = _merges(files)
    tokenizer = hf_json.load(files)
    tokens, types = _tokens(tokenizer.backend, files, vocab_size)

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer or identify(tokenizer, files))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if merges:
        writer.add_token_merges(merges)
    read_special_tokens(files).add_to(writer)


def _tokens(backend: Tokenizer, files: TokenizerFiles, vocab_size: int | None) -> tuple[list[str], list[TokenType]]:
    vocabulary = backend.get_vocab(with_added_tokens=True)
    size = len(vocabulary) if vocab_size is None else vocab_size
    largest = max(vocabulary, key=vocabulary.__getitem__, default=None)
    if largest is not None and vocabulary[largest] >= size:
        raise CheckpointError(
            f"{files.path(NAME)} has the token {largest!r} with the id {vocabulary[largest]}, "
            f"but the vocabulary has only {size} tokens; the tokenizer files and config.json are of different models."
        )
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [TokenType.UNUSED] * size
    for token, i in vocabulary.items():
        tokens[i] = token
        types[i] = TokenType.NORMAL
    for i, added in backend.get_added_tokens_decoder().items():
        token = added.content
        if not added.normalized:
            # llama.cpp takes the text of these tokens as already normalized
            token = backend.decode(backend.encode(token, add_special_tokens=False).ids, skip_special_tokens=False)
        if added.special or looks_like_control(token):
            types[i] = TokenType.CONTROL
        else:
            types[i] = TokenType.USER_DEFINED
            token = token.replace(BOUNDARY, " ")
        tokens[i] = token
    return tokens, types


def _merges(files: TokenizerFiles) -> list[str]:
    """Each merge's two parts with a space between, from tokenizer.json or else merges.txt."""
    merges = sequence(mapping(files.tokenizer.get("model")).pop("merges", None))
    if not merges and files.has("merges.txt"):
        lines = files.text("merges.txt").splitlines()
        if lines and lines[0].startswith("#"):
            del lines[0]
        pairs = [line.split() for line in lines]
        return [" ".join(pair) for pair in pairs if len(pair) == 2]
    # a space within a part is spelled as the letter that GPT-2's byte map gives a space
    return [
        merge
        if isinstance(merge, str)
        else " ".join(str(part).replace(" ", chr(ord(" ") + 256)) for part in sequence(merge))
        for merge in merges
    ]
