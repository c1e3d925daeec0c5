"""`open_checkpoint`, which opens a model by its path or its Hub id."""

from __future__ import annotations

import re
from pathlib import Path

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint, is_gguf
from quantize_cli.checkpoints.reading import reading
from quantize_cli.checkpoints.safetensors import SafetensorsCheckpoint
from quantize_cli.errors import UsageError
from quantize_cli.observer import Observer

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(?<!\.safetensors)(?<!\.gguf)")


def open_checkpoint(model: str | Path, revision: str | None = None, observer: Observer | None = None) -> Checkpoint:
    """Open a model: a folder, a `.safetensors` or `.gguf` file, or, if no such path exists, a Hub id (`org/name`).

    No weight is read or downloaded; the checkpoint's `fetch` downloads them.

    Args:
        model: The path or id; a path that exists is never looked up on the Hub.
        revision: A branch, tag or commit on the Hub.
        observer: Receives sentences about what takes time.

    Raises:
        CheckpointError: The model does not exist, or its files are damaged.
        UnsupportedError: The model's weights are neither safetensors nor GGUF of a known version.
        UsageError: A revision is given for a local path.
    """
    path = Path(model)
    with reading(path):
        is_hub_id = isinstance(model, str) and _HUB_ID.fullmatch(model) and not path.exists()
        gguf = not is_hub_id and is_gguf(path)
    if is_hub_id:
        from quantize_cli.checkpoints.hub import HubCheckpoint  # huggingface_hub is slow to import

        return HubCheckpoint(str(model), revision, observer or Observer())
    if revision is not None:
        raise UsageError(f"{model} is a local path, which does not have revisions; leave --revision out.")
    return GgufCheckpoint(path) if gguf else SafetensorsCheckpoint(path)
