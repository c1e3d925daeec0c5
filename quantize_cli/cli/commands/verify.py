"""quantize verify: a finished file, by itself and against its model."""

from __future__ import annotations

from typing import Any

import click

from quantize_cli.cli import console, options
from quantize_cli.cli.values import file_name, filled, threads

#: Headings of those options of `quantize MODEL` that decide tensors and metadata.
_DECIDING = ("Types of tensors", "Importance matrix", "Model")
#: Those among them that only allow or refuse a run.
_PERMISSIONS = ("allow_requantize", "no_fallback")


def _verify(
    file: str,
    against: str | None,
    format: str | None,
    sample: int | None,
    threads: int | None,
    tensor_type: tuple[str, ...],
    tensor_type_file: str | None,
    *,
    json: bool,
    debug: bool,  # noqa: ARG001  `main` looks at it
    **passed_on: Any,
) -> None:
    """Check a GGUF file: header, padding, scales, and the digests that quantize writes behind the tensors.

    FILE may be one of the parts of a model: then all of them are checked. With --against MODEL, the tensors are derived
    again from MODEL and compared byte for byte, also in a file that llama-quantize has written. What FILE tells of the
    options with which it was made is used; the others have to be given again. The exit code is 1 if anything is wrong.
    """
    from quantize_cli.api import verify
    from quantize_cli.cli import verification

    passed_on["tensor_types"] = options.tensor_types(click.get_current_context(), tensor_type, tensor_type_file)
    with console.progress() as observer:
        found = verify(file, against, format=format, sample=sample, threads=threads, observer=observer, **passed_on)
    verification.show(found, as_json=json)


COMMAND = click.Command(
    "verify",
    callback=_verify,
    help=_verify.__doc__,
    short_help="Check a GGUF file, also against its model.",
    params=[
        click.Argument(("file",), metavar="FILE", callback=file_name),
        options.AGAINST,
        click.Option(
            ("format", "--format", "-f"),
            metavar="NAME",
            callback=filled,
            help="Format of FILE. Default: the one that it states.",
        ),
        options.SAMPLE,
        *(option for heading in _DECIDING for option in options.SECTIONS[heading] if option.name not in _PERMISSIONS),
        click.Option(
            ("--threads", "-t"),
            metavar="N",
            callback=threads,
            help="Number of threads. Default: one for each processor.",
        ),
        options.AS_JSON,
        options.DEBUG,
    ],
)
