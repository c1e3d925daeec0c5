"""The tokenizer class for a model type and a declared class, as transformers 5.23 chose it for the same files."""

from __future__ import annotations

import pytest

from quantize_cli.tokenizers.hf_classes import class_of


@pytest.mark.parametrize(
    ("model_type", "declared", "expected"),
    [
        ("llama", "PreTrainedTokenizerFast", "TokenizersBackend"),
        ("llama", "NoSuchTokenizer", "TokenizersBackend"),
        ("llama", "GPT2Tokenizer", "GPT2Tokenizer"),
        ("llama", "CodeLlamaTokenizer", "CodeLlamaTokenizer"),
        ("llama4", "PreTrainedTokenizer", "TokenizersBackend"),
        ("phi", "CodeGenTokenizer", "CodeGenTokenizer"),
        ("starcoder2", "GPT2Tokenizer", "GPT2Tokenizer"),
        ("cohere2", "CohereTokenizerFast", "CohereTokenizer"),
        ("cohere", None, "CohereTokenizer"),
        ("gpt_neox", "GPTNeoXTokenizerFast", "GPTNeoXTokenizer"),
        ("mamba", None, "GPTNeoXTokenizer"),
        ("glm4_moe", "PreTrainedTokenizer", "TokenizersBackend"),
        ("olmo2", "GPT2Tokenizer", "TokenizersBackend"),
        ("stablelm", "GPTNeoXTokenizerFast", "TokenizersBackend"),
        ("granitemoehybrid", "GPT2Tokenizer", "TokenizersBackend"),
        ("minimax_m2", "GPT2Tokenizer", "TokenizersBackend"),
        ("qwen3_next", "Qwen2Tokenizer", "Qwen2Tokenizer"),
        ("qwen4_exp", "Qwen2Tokenizer", "Qwen3_5Tokenizer"),
        ("gemma4_text", "GemmaTokenizer", "GemmaTokenizer"),
        (["x"], None, "TokenizersBackend"),
    ],
)
def test_the_class(model_type: object, declared: object, expected: str):
    assert class_of(model_type, declared) == expected
