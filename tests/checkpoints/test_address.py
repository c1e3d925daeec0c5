"""What a person may paste as the name of a model on the Hub."""

from __future__ import annotations

import re

import pytest

from quantize_cli.checkpoints.address import Address, read_address
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError, QuantizeError, UsageError


@pytest.fixture(autouse=True)
def _default_endpoint(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("org/name", Address("org/name", None)),
        ("org/name/", Address("org/name", None)),
        ("org/name@v1.0", Address("org/name", "v1.0")),
        ("org/name@refs/pr/3", Address("org/name", "refs/pr/3")),
        ("https://huggingface.co/org/name", Address("org/name", None)),
        ("http://www.huggingface.co/org/name/", Address("org/name", None)),
        ("HTTPS://HuggingFace.co/org/Name-1.5B", Address("org/Name-1.5B", None)),
        ("https://huggingface.co/org/name?library=transformers#usage", Address("org/name", None)),
        ("https://huggingface.co/models/org/name", Address("org/name", None)),
        ("https://huggingface.co/org/name/tree/v2", Address("org/name", "v2")),
        ("https://huggingface.co/org/name/tree/main/onnx", Address("org/name", "main")),
        ("https://huggingface.co/org/name/discussions/7", Address("org/name", None)),
        ("https://huggingface.co/org/name/commit/0123abc", Address("org/name", "0123abc")),
        ("https://huggingface.co/org/name/blob/main/config.json", Address("org/name", "main", "config.json")),
        (
            "https://huggingface.co/org/name/resolve/refs%2Fpr%2F3/a/b.safetensors?download=true",
            Address("org/name", "refs/pr/3", "a/b.safetensors"),
        ),
        ("https://me:hf_secret@huggingface.co/org/name", Address("org/name", None)),
        ("huggingface.co/org/name", Address("org/name", None)),
        ("hf.co/org/name", Address("org/name", None)),
        ("hf://org/name", Address("org/name", None)),
        ("hf://org/name@v1", Address("org/name", "v1")),
        ("hf://models/org/name", Address("org/name", None)),
        ("./org/name", None),
        ("/org/name", None),
        ("~/name", None),
        ("name", None),
        ("a/b/c", None),
        ("org/..", None),
        ("org/x.gguf", None),
        ("org/x.safetensors", None),
        ("C:\\models\\name", None),
        ("", None),
    ],
)
def test_addresses(text, found):
    assert read_address(text) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://example.org/org/name", "is at 'example.org', which is not the Hub that is used, huggingface.co"),
        ("https://huggingface.co.example.org/org/name", "is at 'huggingface.co.example.org'"),
        ("https://huggingface.co@example.org/org/name", "is at 'example.org'"),
        ("https://huggingface.co:8080/org/name", "is at 'huggingface.co:8080'"),
        ("https://huggingface.co/datasets/org/name", "is a data set, not a model"),
        ("https://huggingface.co/spaces/org/name", "is a space, not a model"),
        ("hf://datasets/org/name", "is a data set, not a model"),
        ("https://huggingface.co/org", "is not the address of a model; give it as ORG/NAME"),
        ("https://huggingface.co/", "is not the address of a model"),
        ("https://huggingface.co/org/name/nonsense/x", "is not the address of a model"),
        ("s3://bucket/name", "begins with s3://, which is not known"),
        ("https://[::1/org/name", "is not a valid address"),
        ("org/name@../../x", "has the revision '../../x', which is not the name of a branch"),
        ("https://huggingface.co/org/name/tree/..%2f..%2fx", "has the revision '..'"),
        ("https://huggingface.co/org/name/tree/a%00b", "has the revision 'a\\x00b'"),
    ],
)
def test_what_is_not_the_address_of_a_model(text, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        read_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://hf_secret@example.org/org/name",
        "https://me:hf_secret@example.org/org/name",
        "https://example.org/org/name?token=hf_secret",
        "https://huggingface.co/org?token=hf_secret#hf_secret",
        "s3://me:hf_secret@bucket/name",
        "https://me:hf_secret@[::1/org/name",
        f"https://me:hf_secret@example.org/{'x' * 5000}",
    ],
)
def test_a_token_is_never_shown(text):
    with pytest.raises(QuantizeError) as raised:
        open_checkpoint(text)
    assert "hf_secret" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_the_host_of_hf_endpoint_counts_too(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org:8080")
    assert read_address("http://hub.example.org:8080/org/name") == Address("org/name", None)
    assert read_address("https://huggingface.co/org/name") == Address("org/name", None)
    with pytest.raises(UsageError, match=r"is not the Hub that is used, hub\.example\.org:8080"):
        read_address("https://example.org/org/name")


def test_revisions_that_contradict_each_other():
    with pytest.raises(UsageError, match="is given with the revision v1 and with --revision v2; leave one of them out"):
        open_checkpoint("org/name@v1", "v2")
    with pytest.raises(UsageError, match=re.escape("'../x' is not the name of a branch, tag or commit")):
        open_checkpoint("org/name", "../x")


def test_the_address_of_a_gguf_file():
    with pytest.raises(CheckpointError, match=r"x.gguf of org/name is a GGUF file; download it and give its path"):
        open_checkpoint("https://huggingface.co/org/name/blob/main/x.gguf")


def test_a_path_that_exists_is_not_an_address(tmp_path, monkeypatch):
    (tmp_path / "org" / "name@v1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="org/name@v1 is empty"):
        open_checkpoint("org/name@v1")
