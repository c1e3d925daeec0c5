"""The result of `quantize verify` on standard output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from quantize_cli.cli import console
from quantize_cli.errors import CheckpointError, printable

if TYPE_CHECKING:
    from quantize_cli.verification.model import Compared, Verification


def show(found: Verification, *, as_json: bool) -> None:
    """Print what was checked and found.

    Raises:
        CheckpointError: There are findings.
    """
    if as_json:
        console.put(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        console.put("\n".join(map(printable, _lines(found))))
    if not found.sound:
        count = len(found.findings) + found.further_findings
        faults = "1 fault, which stands" if count == 1 else f"{count:,} faults, which stand"
        raise CheckpointError(f"{found.path} has {faults} on standard output.")


def _lines(found: Verification) -> Iterator[str]:
    if found.files:
        nbytes = sum(file.bytes for file in found.files)
        tensors = sum(file.tensors for file in found.files)
        parts = "" if len(found.files) == 1 else f" in {len(found.files):,} files"
        yield f"{found.path}: {tensors:,} tensors, {nbytes:,} bytes{parts}"
        yield f"scales   searched {sum(file.blocks for file in found.files):,} blocks for NaN and infinity"
        with_digests = sum(file.digests for file in found.files)
        yield f"digests  compared in {with_digests:,} of {len(found.files):,} files"
    if found.compared is not None:
        yield f"against  {_against(found.compared)}"
    yield from (f"note     {note}" for note in found.notes)
    yield from (f"fault    {finding.sentence}" for finding in found.findings)
    if found.further_findings:
        yield f"fault    and {found.further_findings:,} more"
    if found.sound:
        yield "sound    no fault was found"


def _against(compared: Compared) -> str:
    share = "all" if compared.bytes == compared.of_bytes else f"{compared.bytes:,} of {compared.of_bytes:,}"
    return f"{compared.model} as {compared.format}: compared {share} bytes of {compared.tensors:,} tensors"
