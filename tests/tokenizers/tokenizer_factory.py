"""Small tokenizers, and what is written of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.tokenizers import vocabularies
from quantize_cli.tokenizers.vocabulary import Vocabulary, VocabularyFields, read_vocabulary

TEXT = ["the quick brown fox jumps over the lazy dog"] * 4 + ["pack my box with five dozen liquor jugs"] * 4


def make_bpe(folder: Path, *added: AddedToken) -> dict[str, Any]:
    """Write the tokenizer.json of a byte-level BPE tokenizer of 280 tokens and `added`; returns its JSON."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_tokens(list(added))
    tokenizer.save(str(folder / "tokenizer.json"))
    return json.loads((folder / "tokenizer.json").read_text())


def make_llama_json(folder: Path, *added: AddedToken) -> None:
    """Write the tokenizer.json of a BPE tokenizer with byte tokens: 3 special ones, 256 bytes, 3 letters."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "▁a"]
    model = models.BPE(
        {token: i for i, token in enumerate(tokens)}, [("▁", "a")], unk_token="<unk>", byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(tokens[:3])
    tokenizer.add_tokens(list(added))
    tokenizer.save(str(folder / "tokenizer.json"))


def make_sentencepiece(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """Write a tokenizer.model of 300 pieces."""
    (folder / "text").write_text("\n".join(TEXT))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=300,
        model_type="bpe",
        byte_fallback=True,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def write_json(folder: Path, name: str, **content: Any) -> None:
    """Write a JSON object."""
    (folder / f"{name}.json").write_text(json.dumps(content))


def read(
    folder: Path,
    vocabulary: Vocabulary = vocabularies.LLAMA,
    *,
    vocab_size: int | None = None,
    pre_tokenizer: str | None = None,
    rows: int | None = None,
) -> VocabularyFields:
    """Read the vocabulary of a folder whose config.json gives this vocab_size."""
    config = {} if vocab_size is None else {"vocab_size": vocab_size}
    return read_vocabulary(vocabulary, FolderSidecars(folder), config, pre_tokenizer, rows=rows)


def keys(folder: Path, vocabulary: Vocabulary = vocabularies.LLAMA, **options: Any) -> dict[str, Any]:
    """The keys that are added, in their order, without the prefix `tokenizer.`."""
    fields = read(folder, vocabulary, **options).fields
    assert all(field.key.startswith("tokenizer.") for field in fields)
    return {field.key.removeprefix("tokenizer."): field.value for field in fields}
