"""Where tensors come from: `open_checkpoint` takes whatever a user calls a model."""

from __future__ import annotations

import re
from pathlib import Path

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.files import reading
from quantize_cli.checkpoints.gguf import GgufCheckpoint, is_gguf
from quantize_cli.checkpoints.safetensors import SafetensorsCheckpoint
from quantize_cli.errors import UsageError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(?<!\.safetensors)(?<!\.gguf)")


def open_checkpoint(model: str | Path, revision: str | None = None, *, progress: bool = False) -> Checkpoint:
    """Open a model: a folder, a `.safetensors` or `.gguf` file, or, where no such path exists, a Hub id (`org/name`).

    Args:
        model: The path or id; a path that exists is never looked up on the Hub.
        revision: A branch, tag or commit on the Hub.
        progress: Show a download's progress on standard error, if that is a terminal.

    Raises:
        CheckpointError: There is no such model, or its files are damaged.
        UnsupportedError: The model's weights are neither safetensors nor GGUF of a known version.
        UsageError: A revision is given for a local path.
    """
    path = Path(model)
    with reading(path):
        is_hub_id = isinstance(model, str) and _HUB_ID.fullmatch(model) and not path.exists()
        gguf = not is_hub_id and is_gguf(path)
    if is_hub_id:
        from quantize_cli.checkpoints import hub  # huggingface_hub is slow to import

        return SafetensorsCheckpoint(hub.download(str(model), revision, progress=progress), name=path.name)
    if revision is not None:
        raise UsageError(f"{model} is a local path, which has no revision {revision}; leave --revision out.")
    return GgufCheckpoint(path) if gguf else SafetensorsCheckpoint(path)
