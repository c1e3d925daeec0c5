"""The types of a plan's tensors as --tensor-type-file takes them, here and in llama-quantize: a REGEX=TYPE a line."""

from __future__ import annotations

from pathlib import Path

from quantize_cli.errors import UsageError
from quantize_cli.outputs.checks import check_output
from quantize_cli.outputs.sinks import replacing
from quantize_cli.planning.model import Plan
from quantize_cli.planning.type_list import type_entries

#: The option that chooses the path.
_OPTION = "--write-tensor-types"


def check_type_list(path: Path, formats: int, *, force: bool) -> None:
    """Refuse, before a long run, a path that the list could not be written to, and several formats.

    Raises:
        UsageError: There are several formats.
        OutputError: See `check_output`.
    """
    if formats > 1:
        raise UsageError(f"{_OPTION} takes the types of one format, and {formats} are given; name one.")
    check_output(path, force=force, option=_OPTION)


def write_type_list(plan: Plan, path: Path, *, force: bool = False) -> None:
    """Write the list.

    Raises:
        OutputError: See `check_output` and `replacing`.
    """
    check_type_list(path, 1, force=force)
    tensors = {tensor.name: (tensor.shape, tensor.type) for tensor in plan.tensors}
    entries = type_entries(tensors, plan.architecture)
    with replacing([path], force=force, option=_OPTION) as (sink,):
        sink.write("".join(f"{pattern}={type_name}\n" for pattern, type_name in entries).encode())
