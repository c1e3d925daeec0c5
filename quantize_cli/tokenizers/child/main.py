"""The other process: a request on standard input, an answer on standard output, under limits."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import Any

from quantize_cli.checkpoints.sidecars import read_object
from quantize_cli.errors import QuantizeError
from quantize_cli.tokenizers.child.tekken import tekken_facts
from quantize_cli.tokenizers.child.tiktoken import tiktoken_facts
from quantize_cli.tokenizers.json_values import mapping, sequence

#: The exit status of a process that was out of memory.
OUT_OF_MEMORY = 83

TOKENIZER_JSON = "tokenizer.json"
#: Form of a file of ranks -> what reads it.
_RANKS = {"tekken": tekken_facts, "tiktoken": tiktoken_facts}
#: The letter that GPT-2's byte map gives a space; it stands for a space within a part of a merge.
_SPACE = "Ġ"


class Given:
    """Small files from a request; see `checkpoints.sidecars.Sidecars`."""

    def __init__(self, files: Mapping[str, bytes], wheres: Mapping[str, str]) -> None:
        self._files = files
        self._wheres = wheres

    def has(self, name: str) -> bool:
        """Tell whether the file exists."""
        return name in self._files

    def names(self, folder: str) -> tuple[str, ...]:
        """List the files of a folder; nobody asks for them here."""
        return tuple(sorted(name for name in self._files if name.rpartition("/")[0] == folder))

    def read(self, name: str) -> bytes:
        """Read a file."""
        return self._files[name]

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        return self._wheres[name]


def main(seconds: str, mebibytes: str) -> int:
    """Answer one request under limits, and return the exit status."""
    _limit(int(seconds), int(mebibytes) << 20)
    gc.disable()  # nothing here lives long enough for a collection to pay
    try:
        sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


def _limit(seconds: int, memory: int) -> None:
    """Set limits on this process; those that the system does not have are left out."""
    try:
        import resource
    except ImportError:  # Windows
        return
    # the soft limit on time ends the process by a signal that tells the cause
    limits = {
        resource.RLIMIT_CPU: (seconds, seconds + 1),
        resource.RLIMIT_DATA: (memory, memory),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, limit in limits.items():
        with suppress(OSError, ValueError):  # a lower limit is set already
            resource.setrlimit(kind, limit)


def answer(request: bytes) -> bytes:
    """Return the JSON of the facts of a file, or of the error that it causes.

    The request is a JSON object, a newline, and the files that it lists, one after the other. `tokenizer_file.py`,
    `rank_file.py` and `encoding.py` make it, and read the answer.
    """
    end = request.index(b"\n")
    asked = json.loads(request[:end])
    files, start = {}, end + 1
    for name, size in asked["sizes"].items():
        files[name] = request[start : start + size]
        start += size
    del request
    try:
        found = _facts(Given(files, asked["wheres"]), asked)
    except QuantizeError as error:
        found = {"error": _spelled(error)}
    return json.dumps(found, ensure_ascii=False).encode()


def _facts(sidecars: Given, asked: Mapping[str, Any]) -> dict[str, Any]:
    if "form" in asked:
        return _RANKS[asked["form"]](sidecars, asked["name"])
    shell = read_object(sidecars, TOKENIZER_JSON)
    if "streams" in asked:
        # the library is slow to import
        from quantize_cli.tokenizers.child.encode import encoded_streams

        return encoded_streams(sidecars, shell, asked)
    model = mapping(shell.get("model"))
    vocabulary = mapping(model.pop("vocab", None))
    merges = [_merge(merge) for merge in sequence(model.pop("merges", None))]
    if "pieces" in asked:
        entries = map(mapping, sequence(shell.get("added_tokens")))
        added = {i for entry in entries if type(i := entry.get("id")) is int}
        return {"shell": shell, "odd": _odd(vocabulary, added, asked["pieces"])}
    if model.get("type") != "BPE":
        return {"shell": shell}
    from quantize_cli.tokenizers.child.library import library_facts

    facts = library_facts(sidecars, shell, vocabulary, hf_class=asked["hf_class"], recognised=asked["recognised"])
    return {"shell": shell, "merges": merges, "texts": list(vocabulary), "ids": list(vocabulary.values()), **facts}


def _odd(vocabulary: Mapping[str, Any], added: Container[Any], pieces: Sequence[str | None]) -> tuple[str, int] | None:
    """Return text and id of the first token that is not the piece with its id; None in `pieces` equals any."""
    for text, i in vocabulary.items():
        if type(i) is int and i >= 0 and i not in added:
            piece = pieces[i] if i < len(pieces) else ""
            if piece is not None and piece != text:
                return text, i
    return None


def _merge(merge: Any) -> str:
    if isinstance(merge, str):
        return merge
    return " ".join([str(part).replace(" ", _SPACE) for part in sequence(merge)])


def _spelled(error: QuantizeError) -> list[str]:
    return [type(error).__name__, str(error)]
