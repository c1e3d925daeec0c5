"""The help of the command, and its default command."""

from __future__ import annotations

from typing import Any

import click

from quantize_cli.cli.options import SECTIONS

#: Heading under which --help stands.
LAST = [*SECTIONS][-1]

#: Examples of the main job.
EXAMPLES = (
    "quantize HuggingFaceTB/SmolLM2-135M-Instruct -f q4_k_m",
    "quantize path/to/model -f q8_0 -f q4_k_m -o models/",
    "quantize path/to/model -f iq2_xs --imatrix imatrix.gguf",
    "quantize path/to/model -f q4_k_m --dry-run",
    "quantize model-BF16.gguf -f q5_k_m --report report.md",
    "quantize path/to/model -f q4_k_m --max-size 4GiB --max-rmse 8%",
    "quantize --config quantize.toml",
    "quantize path/to/model -f q8_0 -o - | gzip > model.gguf.gz",
)


class Commands(click.Group):
    """A group with a default command: `quantize PATH` means `quantize model PATH`."""

    def __init__(self, name: str, commands: list[click.Command], **settings: Any) -> None:
        super().__init__(name, commands, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command if the first word is not a command."""
        if args[:1] == ["--debug"] and args[1:2] and args[1] in self.commands:
            args = [args[1], "--debug", *args[2:]]
        if not args or args[0] not in self.commands:
            args = ["model", *(args or ["--help"])]
        return super().parse_args(ctx, args)


class ModelCommand(click.Command):
    """The default command; its help is that of the whole."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write how the command and the others are called."""
        formatter.write_usage("quantize", "MODEL --format NAME [OPTIONS]")
        formatter.write_usage("quantize", "COMMAND [OPTIONS]", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the other commands, and the options under their headings."""
        group = ctx.parent.command if ctx.parent is not None else None
        if isinstance(group, click.Group):
            rows = [(name, command.short_help or "") for name, command in sorted(group.commands.items())]
            with formatter.section("Commands"):
                formatter.write_dl(rows)
        help_option = self.get_help_option(ctx)
        for heading, section in SECTIONS.items():
            options = [*section, *([help_option] if help_option and heading == LAST else [])]
            with formatter.section(heading):
                formatter.write_dl([row for option in options if (row := option.get_help_record(ctx)) is not None])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples."""
        with formatter.section("Examples"):
            for command in EXAMPLES:
                formatter.write_text(command)
