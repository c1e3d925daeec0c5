"""Where the files of a run go: their names, and one sink for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from quantize_cli.errors import UsageError
from quantize_cli.outputs import Sink, check_output, replacing, writing
from quantize_cli.planning.model import Plan

#: What the user gives: a file, a folder or a stream; None is the current folder.
Output: TypeAlias = Path | BinaryIO | None

#: The files of one plan, or the stream that takes the only one.
Target: TypeAlias = list[Path] | BinaryIO


def check_request(output: Output, formats: int, *, in_parts: bool, force: bool) -> None:
    """Refuse what no model can make right, before it is looked at.

    Raises:
        UsageError: several files are to go where only one can.
        OutputError: see `check_output`.
    """
    if isinstance(output, Path):
        if _is_folder(output):
            return
        if formats > 1:
            raise UsageError(f"{output} is not a folder, and the run writes {formats} files: name a folder with -o.")
        if not in_parts:
            check_output(output, force=force)
    elif output is not None and (formats > 1 or in_parts):
        raise UsageError("One stream cannot hold several files: name a folder with -o.")


def target_of(plan: Plan, output: Output) -> Target:
    """Name the files of one plan, or return the stream."""
    if not (output is None or isinstance(output, Path)):
        return output
    default = f"{plan.model}-{plan.format}.gguf"
    whole = Path(default) if output is None else output / default if _is_folder(output) else output
    return [
        whole.with_name(f"{whole.name.removesuffix('.gguf')}{file.suffix}.gguf") if file.suffix else whole
        for file in plan.files
    ]


def shown(target: Target) -> str:
    """Name the target in a report: the first file stands for all of its model, as it does when the model is loaded."""
    return str(target[0]) if isinstance(target, list) else "-"


def sizes(targets: Sequence[Target], plans: Sequence[Plan]) -> dict[Path, int]:
    """Return every file that will be written with its size in bytes; a stream has none."""
    return {
        path: file.file_bytes
        for target, plan in zip(targets, plans, strict=True)
        if isinstance(target, list)
        for path, file in zip(target, plan.files, strict=True)
    }


@contextmanager
def opened(targets: Sequence[Target], *, force: bool) -> Iterator[list[list[Sink]]]:
    """Open a sink for each file of each target; all files get their names at the end, or none.

    Raises:
        OutputError: see `replacing`.
    """
    if not isinstance(targets[0], list):
        with writing("The output stream"):
            yield [[targets[0]]]
            targets[0].flush()
        return
    files = [target for target in targets if isinstance(target, list)]
    with replacing([path for target in files for path in target], force=force) as sinks:
        each = iter(sinks)
        yield [[next(each) for _ in target] for target in files]


def _is_folder(path: Path) -> bool:
    with writing(path):
        return path.is_dir()
