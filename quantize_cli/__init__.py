"""Turn a Hugging Face safetensors checkpoint, or a GGUF file, into quantized GGUF files.

The public library; names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantize_cli.version import __version__

if TYPE_CHECKING:
    from quantize_cli.api import Settings, quantize_ladder, quantize_model
    from quantize_cli.checkpoints.open import open_checkpoint
    from quantize_cli.importance.read import read_importance
    from quantize_cli.mixes.tables import FORMATS
    from quantize_cli.plan.options import PlanOptions
    from quantize_cli.plan.planner import make_plan, make_plans
    from quantize_cli.run.executor import run

__all__ = [
    "FORMATS",
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
    "FORMATS": "mixes.tables",
    "PlanOptions": "plan.options",
    "Settings": "api",
    "make_plan": "plan.planner",
    "make_plans": "plan.planner",
    "open_checkpoint": "checkpoints.open",
    "quantize_ladder": "api",
    "quantize_model": "api",
    "read_importance": "importance.read",
    "run": "run.executor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
