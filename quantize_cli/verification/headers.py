"""The comparison of a file's header with the plan of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quantize_cli.checkpoints.base import TensorInfo
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.errors import listed, shown
from quantize_cli.planning.model import Plan, PlannedTensor
from quantize_cli.verification.metadata import different_values, notes_on_keys
from quantize_cli.verification.model import Findings


def compare_headers(file: GgufCheckpoint, plan: Plan, findings: Findings, notes: list[str]) -> frozenset[str]:
    """Compare metadata and tables of tensors; return the names of the tensors that can be compared byte for byte."""
    path, planned = file.location, plan.files[0].metadata
    if keys := list(different_values(file.metadata, planned)):
        findings.add(
            "metadata",
            path,
            f"{path} has other values than the model gives for {listed([shown(key) for key in keys])}; check that it "
            "was made from this model.",
        )
    notes += notes_on_keys(file.metadata, planned, path)
    wanted = {tensor.name: tensor for tensor in plan.tensors}
    for names, what in ((wanted.keys() - file.infos.keys(), "lacks"), (file.infos.keys() - wanted.keys(), "has")):
        if names:
            other = "has" if what == "lacks" else "does not have"
            listing = listed([shown(name) for name in sorted(names)])
            findings.add("tensors", path, f"{path} {what} {len(names)} tensors that the model {other} ({listing}).")
    shared = [tensor for name, tensor in wanted.items() if name in file.infos]
    _check_types(shared, file.infos, plan, path, findings)
    return frozenset(
        tensor.name
        for tensor in shared
        if file.infos[tensor.name].dtype == tensor.type and _same_shape(file.infos[tensor.name], tensor)
    )


def _check_types(
    tensors: Sequence[PlannedTensor], infos: Mapping[str, TensorInfo], plan: Plan, path: str, findings: Findings
) -> None:
    for tensor in tensors:
        if not _same_shape(infos[tensor.name], tensor):
            findings.add(
                "tensors",
                path,
                f"{path}: tensor {shown(tensor.name)} has the shape {list(infos[tensor.name].shape)}, but the model "
                f"gives {list(tensor.shape)}; check that the file was made from this model.",
                tensor.name,
            )
    other = [tensor for tensor in tensors if infos[tensor.name].dtype != tensor.type]
    if other:
        examples = listed([f"{shown(t.name)} is {infos[t.name].dtype}, not {t.type}" for t in other])
        findings.add(
            "tensors",
            path,
            f"{path} has other types than {plan.format} gives for {len(other)} tensors ({examples}), which are not "
            "compared; give the options on types with which it was made.",
        )


def _same_shape(info: TensorInfo, tensor: PlannedTensor) -> bool:
    """Tell whether shapes are the same but for leading dimensions of 1, which files do not write down."""
    return (info.rows, info.shape[-1]) == (tensor.rows, tensor.columns)
