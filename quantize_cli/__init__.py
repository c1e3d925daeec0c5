"""Turn a Hugging Face safetensors checkpoint, or a GGUF file, into quantized GGUF files.

The public library; names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantize_cli.version import __version__

if TYPE_CHECKING:
    from quantize_cli.checkpoints import open_checkpoint
    from quantize_cli.convert import Settings, quantize_ladder, quantize_model
    from quantize_cli.formats import FORMATS
    from quantize_cli.importance import read_importance
    from quantize_cli.mixes import MIXES
    from quantize_cli.pipeline import run
    from quantize_cli.plan import PlanOptions, make_plan, make_plans

__all__ = [
    "FORMATS",
    "MIXES",
    "PlanOptions",
    "Settings",
    "__version__",
    "make_plan",
    "make_plans",
    "open_checkpoint",
    "quantize_ladder",
    "quantize_model",
    "read_importance",
    "run",
]

_HOMES = {
    "FORMATS": "formats",
    "MIXES": "mixes",
    "PlanOptions": "plan",
    "Settings": "convert",
    "make_plan": "plan",
    "make_plans": "plan",
    "open_checkpoint": "checkpoints",
    "quantize_ladder": "convert",
    "quantize_model": "convert",
    "read_importance": "importance",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
