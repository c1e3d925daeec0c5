"""SHA-256 of a run's files, one a line, as `sha256sum -c` reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from quantize_cli.errors import OutputError
from quantize_cli.outputs.checks import check_folder, check_output
from quantize_cli.outputs.refusals import writing
from quantize_cli.outputs.sinks import replacing
from quantize_cli.report.model import Report

#: The option that chooses the path.
_OPTION = "--checksums"

#: What a list of checksums begins with; an empty file is one too.
_BEGINNING = re.compile(rb"\\?[0-9a-f]{64} [ *]|\Z")


def check_checksums_path(path: Path, *, force: bool) -> None:
    """Refuse, before a long run, a path that the checksums could not be written to, or that holds something else.

    Raises:
        OutputError: See `check_output`; or the file there is not a list of checksums, even if `force` is set.
    """
    if not path.parent.exists():  # it is made, perhaps by the run
        check_folder(path.parent, _OPTION)
        return
    check_output(path, force=force, option=_OPTION)
    if path.exists():
        with writing(path, _OPTION), path.open("rb") as file:
            beginning = file.read(80)
        if not _BEGINNING.match(beginning):
            raise OutputError(f"{path} is not a list of checksums, and is kept; choose another path with {_OPTION}.")


def write_checksums(reports: Sequence[Report], path: Path, *, force: bool) -> None:
    """Write a line for each file of the reports; `sha256sum -c` finds the files from the folder of `path`.

    Raises:
        OutputError: See `check_checksums_path` and `replacing`.
    """
    check_checksums_path(path, force=force)
    with writing(path.parent, _OPTION):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing([path], force=force, option=_OPTION) as (sink,):
        sink.write(b"".join(_line(file.sha256, file.path, path.parent) for report in reports for file in report.files))


def _line(digest: str, file: str, folder: Path) -> bytes:
    """Make one line; names with a backslash or a line break are escaped, which a backslash before the digest tells."""
    name = file if file == "-" else os.path.relpath(file, folder)
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    return os.fsencode(f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n")
