"""Chat templates, as `transformers` (5.23) runs them: programs in Jinja from a stranger, in Jinja's sandbox.

The time is a fixed one, because templates write it into the text, and the same text must always get the same tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from quantize_cli.errors import CheckpointError, shown

_NOW = datetime(2025, 1, 1)

Conversation = Sequence[Mapping[str, str]]


class _Generation(Extension):
    """`{% generation %}`, which marks what a model has said; here its content stands for itself."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def spelled(conversations: Sequence[Conversation], template: str, names: Mapping[str, str], where: str) -> list[str]:
    """Return conversations as the chat template spells them, one text each.

    A template that refuses a system's turn gets its content at the start of the first turn of the user.

    Args:
        conversations: Turns with `role` and `content`.
        template: The template.
        names: Texts of tokens that the template may use: `bos_token` and the like.
        where: Where the template stands, in messages.

    Raises:
        CheckpointError: The template is damaged, or refuses a conversation.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _json
    environment.globals.update(raise_exception=_refuse, strftime_now=_NOW.strftime)
    try:
        compiled = environment.from_string(template)

        def spell(turns: Conversation) -> str:
            return compiled.render(messages=turns, tools=None, documents=None, add_generation_prompt=False, **names)

        texts = []
        for turns in conversations:
            try:
                texts.append(spell(turns))
            except TemplateError:
                if turns[0]["role"] != "system":
                    raise
                texts.append(spell(_without_system(turns)))
    except MemoryError:
        raise
    except Exception as error:  # a template can raise what Python can
        raise CheckpointError(
            f"The chat template of {where} fails on a plain conversation ({shown(str(error))}); calibrate and evaluate "
            "on texts of your own by --text FILE."
        ) from error
    return texts


def _without_system(turns: Conversation) -> Conversation:
    system, user, *others = turns
    return [{**user, "content": f"{system['content']}\n\n{user['content']}"}, *others]


def _json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **others: Any) -> str:
    """Write JSON without Jinja's escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **others)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
