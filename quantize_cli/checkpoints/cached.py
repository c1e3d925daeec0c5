"""What the Hub's cache on this machine holds."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from quantize_cli.checkpoints.hub_cache import repository_of

#: The most entries of the cache that are looked at.
_ENTRIES = 10_000


def hub_folder() -> Path:
    """Return the folder of the Hub's cache, which may be missing."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_models() -> list[str]:
    """List the models in the Hub's cache, ORG/NAME, sorted; a cache that cannot be read does not hold any."""
    try:
        with os.scandir(hub_folder()) as entries:
            names = [repository_of(entry.name) for entry in islice(entries, _ENTRIES) if entry.is_dir()]
    except OSError:
        return []
    return sorted(name for name in names if name is not None)
