"""The chat template: one Jinja text, or several by name."""

from __future__ import annotations

from typing import Any, TypeAlias

from quantize_cli.tokenizers.source import Source

ChatTemplate: TypeAlias = str | list[dict[str, Any]]

_FILE = "chat_template.jinja"
_OTHERS = "additional_chat_templates"
_SUFFIX = ".jinja"


def read_chat_template(source: Source) -> ChatTemplate | None:
    """Read the template of tokenizer_config.json, or else that of the files in which newer checkpoints keep it."""
    template: object
    if "chat_template" in source.tokenizer_config:
        template = source.tokenizer_config["chat_template"]
    elif source.has(_FILE):
        template = source.text(_FILE)
        if others := [file for file in source.sidecars.names(_OTHERS) if file.endswith(_SUFFIX)]:
            template = [{"name": "default", "template": template}]
            template += [{"name": _stem(file), "template": source.text(file)} for file in others]
    else:
        template = source.json("chat_template.json").get("chat_template")
    return template if isinstance(template, (str, list)) else None


def _stem(file: str) -> str:
    return file.removeprefix(f"{_OTHERS}/").removesuffix(_SUFFIX)
