"""`open_checkpoint`, which opens a model by its path, its Hub id or its address."""

from __future__ import annotations

import re
from pathlib import Path

from quantize_cli.checkpoints.address import Address, check_revision, read_address
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.encodings.methods import unpacked
from quantize_cli.checkpoints.gguf import GgufCheckpoint, is_gguf
from quantize_cli.checkpoints.reading import irregular, reading
from quantize_cli.checkpoints.safetensors import SafetensorsCheckpoint
from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.observer import Observer

#: Pieces of a file that were cut without regard to its content.
_PIECE = re.compile(r".+(\.gguf|\.safetensors)(-split-[a-z]+|\.part-?\w+|\.\d{2,3}|\.[a-z]{2})")


def open_checkpoint(
    model: str | Path, revision: str | None = None, observer: Observer | None = None, *, stream: bool = False
) -> Checkpoint:
    """Open a model: a folder, a `.safetensors` or `.gguf` file, or, if no such path exists, a model on the Hub.

    No weight is read or downloaded; the checkpoint's `fetch` downloads them.

    Args:
        model: The path, the Hub id (`org/name`, `org/name@revision`) or its address (`https://huggingface.co/...`,
            `hf://...`); a path that exists is never looked up on the Hub.
        revision: A branch, tag or commit on the Hub.
        observer: Receives sentences about what takes time, and about what is read instead of `model`.
        stream: Read the weights of a model on the Hub there when they are needed; `fetch` does nothing then.

    Raises:
        CheckpointError: The model does not exist, or its files are damaged.
        UnsupportedError: The model's weights are neither safetensors nor GGUF of a known version.
        UsageError: A revision is given for a local path or twice, a local path is to be streamed, or an address is not
            that of a model on the Hub.
    """
    path, observer = Path(model), observer or Observer()
    with reading(path):
        may_be_address = isinstance(model, str) and ("://" in model or not path.exists())
    address = read_address(str(model)) if may_be_address else None
    if address is not None:
        return _open_address(address, revision, observer, stream=stream)
    if revision is not None:
        raise UsageError(f"{model} is a local path, which does not have revisions; leave --revision out.")
    if stream:
        raise UsageError(f"{model} is a local path, and only models on the Hub are streamed; leave --stream out.")
    with reading(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise irregular(path)
        if _PIECE.fullmatch(path.name) and path.is_file():
            raise CheckpointError(
                f"{path} is a piece of a file; join all its pieces in their order with `cat`, and give the result."
            )
        gguf = is_gguf(path)
    return GgufCheckpoint(path, observer) if gguf else unpacked(SafetensorsCheckpoint(path, observer))


def _open_address(address: Address, revision: str | None, observer: Observer, *, stream: bool) -> Checkpoint:
    # huggingface_hub is slow to import.
    from quantize_cli.checkpoints.hub import HubCheckpoint
    from quantize_cli.checkpoints.stream import StreamedCheckpoint

    if revision is not None:
        check_revision(revision)
    if None not in (revision, address.revision) and revision != address.revision:
        raise UsageError(
            f"{address.model_id} is given with the revision {address.revision} and with --revision {revision}; leave "
            "one of them out."
        )
    if address.file is not None and address.file.endswith(".gguf"):
        raise CheckpointError(f"{address.file} of {address.model_id} is a GGUF file; download it and give its path.")
    if address.file is not None:
        observer.noted(f"{address.file} is one of the files of {address.model_id}: reading the whole model.")
    kind = StreamedCheckpoint if stream else HubCheckpoint
    return unpacked(kind(address.model_id, revision or address.revision, observer))
