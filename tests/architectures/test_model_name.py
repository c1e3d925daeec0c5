"""What names say; far more of them are held against the reference in test_general.py."""

from __future__ import annotations

import pytest

from quantize_cli.architectures.model_name import ModelName, titled

#: Name, number of weights in million -> organization, basename, finetune, version, size.
NAMES = {
    ("meta-llama/Llama-3.1-8B-Instruct", 8030): ("meta-llama", "Llama-3.1", "Instruct", None, "8B"),
    ("Mixtral-8x7B-Instruct-v0.1", 46703): (None, "Mixtral", "Instruct", "v0.1", "8x7B"),
    ("Qwen3-30B-A3B", 30532): (None, "Qwen3", None, None, "30B-A3B"),
    ("bloom-7b1", 7069): (None, "bloom", None, None, "7.1B"),
    ("stablelm-2-1_6b", 1645): (None, "stablelm-2", None, None, "1.6B"),
    ("Phi-3-mini-4k-instruct", 3821): (None, "Phi-3", "4k-instruct", None, "mini"),  # 4k is no size
    ("gpt-large-7B", 7000): (None, "gpt-large", None, None, "7B"),  # large is no size beside one in numbers
    ("model-7B-Q4_K_M-chat", 7000): (None, "model", "chat", None, "7B"),
    ("model-F16-7B", 7000): (None, "model", None, None, "7B"),
    ("model-2-3", 7000): (None, "model", None, "2-3", None),
    ("model", 7000): (None, None, None, None, None),
    ("./model-v2", 7000): (None, "model", None, "v2", None),
    ("a model-v2", 7000): (None, None, None, None, None),
}


@pytest.mark.parametrize(("given", "parts"), NAMES.items(), ids=[name for name, _ in NAMES])
def test_parts_of_a_name(given, parts):
    identity, millions = given
    found = ModelName.parse(identity, millions * 10**6)
    assert (found.organization, found.basename, found.finetune, found.version, found.size_label) == parts


def test_any_size_counts_where_the_weights_are_not_counted():
    assert ModelName.parse("model-128K", 0).size_label == "128K"
    assert ModelName.parse("model-128K", 10**9).finetune == "128k"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("tiny-model-v1.0", "Tiny Model v1.0"),
        ("SmolLM2-135M-chat", "SmolLM2 135M Chat"),
        ("v1x-7b", "V1X 7b"),
        (" --a  b- ", "A B"),
        ("", ""),
    ],
)
def test_titles(text, title):
    assert titled(text) == title
