"""Embedding models in the layout of sentence-transformers: how token vectors become one vector."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFWriter, PoolingType

from quantize_cli.architectures.config import read_json, read_json_object
from quantize_cli.errors import CheckpointError, UnsupportedError

#: Flag in a pooling module's config.json -> GGUF pooling type, the first flag that is set counts.
FLAGS = {
    "pooling_mode_mean_tokens": PoolingType.MEAN,
    "pooling_mode_cls_token": PoolingType.CLS,
    "pooling_mode_lasttoken": PoolingType.LAST,
}

#: The same for files that name one mode.
MODES = {"mean": PoolingType.MEAN, "cls": PoolingType.CLS, "lasttoken": PoolingType.LAST}


def add_pooling(writer: GGUFWriter, folder: Path) -> None:
    """Write the pooling type where modules.json lists a pooling module.

    Raises CheckpointError where that file is not what sentence-transformers writes, UnsupportedError for a pooling
    that GGUF does not know.
    """
    modules = folder / "modules.json"
    if not modules.is_file():
        return
    try:
        paths = [module["path"] for module in read_json(modules) if module["type"].endswith("Pooling")]
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{modules} is not a list of modules with type and path: download it again.") from error
    if not paths:
        return
    if not isinstance(paths[0], str) or Path(paths[0]).is_absolute() or ".." in Path(paths[0]).parts:
        raise CheckpointError(f"{modules} gives a pooling module the path {paths[0]!r}, which leaves the folder.")
    config = folder / paths[0] / "config.json"
    pooling = read_json_object(config)
    flagged = [kind for flag, kind in FLAGS.items() if pooling.get(flag)]
    kind = flagged[0] if flagged else MODES.get(str(pooling.get("pooling_mode")))
    if kind is None:
        raise UnsupportedError(f"{config} asks for a pooling other than {', '.join(MODES)}, which GGUF cannot express.")
    writer.add_pooling_type(kind)
