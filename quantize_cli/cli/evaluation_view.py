"""What `quantize eval` and `quantize calibrate` show."""

from __future__ import annotations

import io
import math
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Literal

from quantize_cli.cli import console
from quantize_cli.errors import GateError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from quantize_cli.evaluation.model import Evaluation
    from quantize_cli.sensitivity.model import Calibration


def show(found: Evaluation, *, as_json: bool) -> None:
    """Print an evaluation on standard output, as tables or as JSON."""
    if as_json:
        from quantize_cli.report.evaluations.write import to_json

        console.put(to_json(found).removesuffix("\n"))
    else:
        from quantize_cli.report.evaluations import terminal

        console.put(_text(terminal.render(found)))


def check(found: Evaluation, most: float | None) -> None:
    """Hold every file against the limit of its mean KLD.

    Raises:
        GateError: Some have more, or a KLD that is not a number.
    """
    from quantize_cli.report.evaluations.tables import nats

    beyond = [file for file in found.files if most is not None and not file.all.mean_kld <= most]
    if beyond:
        first = max(beyond, key=lambda file: file.all.mean_kld)
        mean = first.all.mean_kld
        figure = "not a number" if math.isnan(mean) else f"{nats(mean)} nats a token"
        others = f", and {len(beyond) - 1} more of the files do not pass it" if len(beyond) > 1 else ""
        raise GateError(f"{first.file} does not pass --max-kld {most:g}: its mean KLD is {figure}{others}.")


def show_calibration(found: Calibration, model: str, output: str) -> None:
    """Print what was measured on standard error, and a command that uses it."""
    from rich.console import Console

    from quantize_cli.report.calibrations import terminal

    Console(stderr=True, highlight=False, color_system=_colours()).print(terminal.render(found, model=model))
    console.show_use(f"quantize {shlex.quote(model)} --like q4_k_m --calibration {shlex.quote(output)}")


def _text(renderable: RenderableType) -> str:
    """Render for standard output: with colours on a terminal, with lines of characters that its encoding has."""
    from rich.console import Console

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding, "backslashreplace", newline="", write_through=True) as stream:
        Console(
            file=stream,
            force_terminal=console.is_terminal(sys.stdout),
            color_system=_colours(),
            width=shutil.get_terminal_size().columns,
            highlight=False,
        ).print(renderable)
        text = raw.getvalue().decode(encoding)
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()


def _colours() -> Literal["auto"] | None:
    # With NO_COLOR, rich alone would still write in bold.
    return None if os.environ.get("NO_COLOR") else "auto"
