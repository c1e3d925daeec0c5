"""The pooling of embedding models in the layout of sentence-transformers, which turns token vectors into one."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from quantize_cli.checkpoints.sidecars import Sidecars, read_json, read_object
from quantize_cli.errors import CheckpointError, UnsupportedError, shown

#: GGUF's numbers of pooling types (llama.h, `enum llama_pooling_type`).
_MEAN, _CLS, _LAST = 1, 2, 3

#: Flag in a pooling module's config.json -> GGUF pooling type; the first flag that is set counts.
_FLAGS = {"pooling_mode_mean_tokens": _MEAN, "pooling_mode_cls_token": _CLS, "pooling_mode_lasttoken": _LAST}

#: The same for files that name one mode.
_MODES = {"mean": _MEAN, "cls": _CLS, "lasttoken": _LAST}


def pooling_type(sidecars: Sidecars) -> int | None:
    """Return GGUF's number of the pooling if modules.json lists a pooling module, or None.

    Raises:
        CheckpointError: modules.json or the module's config.json is not what sentence-transformers writes.
        UnsupportedError: GGUF does not have this pooling.
    """
    if not sidecars.has("modules.json"):
        return None
    name = _config_name(sidecars)
    if name is None:
        return None
    pooling = read_object(sidecars, name)
    flagged = next((kind for flag, kind in _FLAGS.items() if pooling.get(flag)), None)
    kind = flagged or _MODES.get(str(pooling.get("pooling_mode")))
    if kind is None:
        raise UnsupportedError(
            f"{sidecars.where(name)} asks for a pooling other than {', '.join(_MODES)}, which GGUF cannot express; "
            "convert a model that pools in one of these ways."
        )
    return kind


def _config_name(sidecars: Sidecars) -> str | None:
    """Return the name of the first pooling module's config.json, or None if there is no such module."""
    where = sidecars.where("modules.json")
    try:
        path = next(
            (module["path"] for module in read_json(sidecars, "modules.json") if module["type"].endswith("Pooling")),
            None,
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{where} is not a list of modules with type and path; download it again.") from error
    if path is None:
        return None
    if not isinstance(path, str) or _leaves(path):
        raise CheckpointError(
            f"{where} gives a pooling module the path {shown(path)}, which leaves the folder; "
            "take the model from a source you trust."
        )
    name = str(PurePosixPath(path) / "config.json")
    if not name.isprintable() or not sidecars.has(name):
        raise CheckpointError(f"{where} needs the file {shown(name)}, which cannot be read; download the model again.")
    return name


def _leaves(path: str) -> bool:
    """Tell whether a path leads out of the folder on any system."""
    return any(kind(path).anchor or ".." in kind(path).parts for kind in (PurePosixPath, PureWindowsPath))
