"""`--push-to`, from the command line to a Hub on loopback, by the real client."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from command_line import USUAL, invoke, sentence
from huggingface_hub import constants

from quantize_cli import OutputError, UsageError, quantize

from .upload_server import TOKEN, Repo

# Of the client itself, which hands a file to httpx under a name that httpx no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

PUSH = ("--push-to", "me/tiny")


def test_the_files_and_a_card_are_uploaded_in_one_commit(hub, llama):
    result = invoke(llama, *USUAL, "-f", "f16", *PUSH)
    assert result.exit_code == 0, result.stderr
    repo = hub.repos["me/tiny"]
    assert repo.private
    assert repo.commits == ["Upload Q8_0, F16"]
    names = ["tiny-llama-Q8_0.gguf", "tiny-llama-F16.gguf"]
    assert {*repo.files} == {*names, "README.md"}
    assert [repo.files[name] for name in names] == [Path(name).read_bytes() for name in names]
    assert f"Uploaded to {hub.endpoint}/me/tiny." in result.stderr
    card = repo.files["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1]) == {"tags": ["gguf", "llama.cpp"]}
    for name in names:
        assert f"`{hashlib.sha256(repo.files[name]).hexdigest()}`" in card
    assert "llama-cli --hf-repo me/tiny --hf-file 'tiny-llama-Q8_0.gguf'" in card


def test_the_token_goes_to_the_endpoint_alone_and_is_never_shown(hub, llama):
    result = invoke(llama, *USUAL, *PUSH)
    assert {request.token for request in hub.requests if request.host != "127.0.0.1"} == {None}
    assert {request.path for request in hub.requests if request.host == "localhost"}
    assert TOKEN in {request.token for request in hub.requests}
    assert TOKEN not in result.stderr + result.stdout


def test_a_second_upload_adds_its_rows_and_keeps_what_a_person_wrote(hub, llama):
    invoke(llama, *USUAL, *PUSH)
    repo = hub.repos["me/tiny"]
    repo.files["README.md"] = repo.files["README.md"].replace(b"## Run it", b"## Run it yourself")
    invoke(llama, *USUAL, "--force", *PUSH)
    assert repo.files["README.md"].count(b"| [`tiny-llama-") == 1
    assert invoke(llama, *USUAL[2:], "-f", "f16", *PUSH).exit_code == 0
    card = repo.files["README.md"].decode()
    assert [line.split("`")[1] for line in card.splitlines() if line.startswith("| [")] == [
        "tiny-llama-Q8_0.gguf",
        "tiny-llama-F16.gguf",
    ]
    assert "## Run it yourself" in card


def test_a_card_that_a_person_wrote_stays(hub, llama):
    hub.repos["me/tiny"] = Repo(private=True, files={"README.md": b"# Mine\n"})
    result = invoke(llama, *USUAL, *PUSH)
    assert result.exit_code == 0
    assert "me/tiny has a README.md of its own" in result.stderr
    assert hub.repos["me/tiny"].files["README.md"] == b"# Mine\n"
    assert "tiny-llama-Q8_0.gguf" in hub.repos["me/tiny"].files


def test_a_refused_repository_is_refused_before_the_run(hub, llama):
    hub.refusals = {"/api/repos/create": 403, "/auth-check/write": 403}
    result = invoke(llama, *USUAL, *PUSH)
    assert result.exit_code == 1
    assert sentence(result.stderr) == (
        f"me/tiny cannot be written at {hub.endpoint} (HTTP 403); use a token with permission to write to it."
    )
    assert [*Path().glob("*.gguf")] == []


def test_a_token_for_one_repository_alone_is_enough(hub, llama):
    hub.refusals = {"/api/repos/create": 403}
    hub.repos["me/tiny"] = Repo(private=True)
    assert invoke(llama, *USUAL, *PUSH).exit_code == 0
    assert "tiny-llama-Q8_0.gguf" in hub.repos["me/tiny"].files


def test_without_a_token_nothing_runs(hub, llama, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    result = invoke(llama, *USUAL, *PUSH)
    assert result.exit_code == 1
    assert "set HF_TOKEN" in sentence(result.stderr)
    assert hub.requests == []
    assert [*Path().glob("*.gguf")] == []


def test_offline_is_told(hub, llama, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in sentence(invoke(llama, *USUAL, *PUSH).stderr)


def test_a_failed_upload_keeps_the_files_and_tells_how_to_repeat_it(hub, llama):
    hub.refusals = {"/commit/main": 403}
    result = invoke(llama, *USUAL, "-o", "a {name}.gguf", *PUSH, "--report", "report.json")
    assert result.exit_code == 1
    assert sentence(result.stderr) == (
        f"The files are complete here, but not at {hub.endpoint}/me/tiny (HTTP 403); use a token with permission to "
        "write to it, and then upload them with `hf upload me/tiny 'a {name}.gguf'`."
    )
    assert Path("a {name}.gguf").is_file()
    assert Path("report.json").is_file()


@pytest.mark.parametrize("words", ["tiny", "me/tiny@main", "../tiny", "me/tiny/x"])
def test_a_wrong_name_is_a_usage_error(hub, llama, words):
    result = invoke(llama, *USUAL, "--push-to", words)
    assert result.exit_code == 2
    assert hub.requests == []


def test_a_stream_is_not_uploaded(hub, llama):
    with Path("out").open("wb") as stream, pytest.raises(UsageError, match="-o"):
        quantize(llama, "q8_0", stream, push_to="me/tiny")
    assert hub.requests == []


def test_public_needs_a_repository(hub, llama):
    assert invoke(llama, *USUAL, "--public").exit_code == 2


def test_without_a_terminal_nothing_becomes_public(hub, llama):
    result = invoke(llama, *USUAL, *PUSH, "--public")
    assert result.exit_code == 2
    assert "--public must be confirmed at a terminal" in sentence(result.stderr)
    assert hub.requests == []


def test_in_ci_nothing_becomes_public_even_at_a_terminal(hub, llama, monkeypatch):
    monkeypatch.setattr("quantize_cli.cli.publishing.is_terminal", lambda _stream: True)
    monkeypatch.setenv("CI", "true")
    assert invoke(llama, *USUAL, *PUSH, "--public").exit_code == 2
    assert hub.requests == []


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked_before_it_is_public(hub, llama, monkeypatch, answer: bool):
    monkeypatch.setattr("quantize_cli.cli.publishing.is_terminal", lambda _stream: True)
    asked: list[str] = []

    def confirm(text: str, **_how: bool) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr("click.confirm", confirm)
    result = invoke(llama, *USUAL, "--public", *PUSH)
    assert asked == ["Make 'me/tiny' public, so that everyone can download it?"]
    assert result.exit_code == (0 if answer else 2)
    assert (hub.repos["me/tiny"].private if answer else hub.requests) == (False if answer else [])


def test_what_cannot_be_published_is_told(hub, llama):
    hub.refusals = {"/settings": 403}
    with pytest.raises(OutputError, match=r"has the files, but could not be made public \(HTTP 403\)"):
        quantize(llama, "f16", push_to="me/tiny", public=True, pre_tokenizer="gpt-2")
