"""A plan as JSON values; docs/plan.md describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from quantize_cli.planning.model import Plan, PlannedFile, PlannedTensor


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the object of one plan, with all its tensors."""
    return {
        "format": plan.format,
        "digest": plan.digest,
        "importance_sha256": plan.importance_sha256,
        "file_bytes": plan.file_bytes,
        "weights": plan.weights,
        "fallback_bytes": sum(tensor.extra_bytes for tensor in plan.tensors),
        "budget": None if plan.budget is None else asdict(plan.budget),
        "files": [_file(file) for file in plan.files],
        "warnings": list(plan.warnings),
    }


def _file(file: PlannedFile) -> dict[str, Any]:
    return {
        "suffix": file.suffix,
        "file_bytes": file.file_bytes,
        "header_bytes": len(file.header),
        "tensors": [_tensor(tensor) for tensor in file.tensors],
    }


def _tensor(tensor: PlannedTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "type": tensor.type,
        "reason": tensor.reason,
        "cost": tensor.cost,
        "offset": tensor.offset,
        "bytes": tensor.nbytes,
        "sources": list(tensor.sources),
        "source_dtype": tensor.source_dtype,
        "source_bytes": tensor.source_bytes,
        "moves": _steps(tensor.moves),
        "maps": _steps(tensor.maps),
        "rounded_to": tensor.rounded_to,
        "instead_of": tensor.instead_of,
        "fallback_bytes": tensor.extra_bytes,
        "importance": tensor.importance,
    }


def _steps(steps: Sequence[Any]) -> list[dict[str, Any]]:
    """Return moves or maps, which are dataclasses, each with the name of its kind."""
    return [{"kind": type(step).__name__, **asdict(step)} for step in steps]
