"""The chat template: one Jinja text, or several by name."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import Any

from gguf import GGUFWriter, Keys

from quantize_cli.tokenizers.files import TokenizerFiles, mapping

ChatTemplate = str | list[dict[str, Any]]

_FILE = "chat_template.jinja"
_OTHERS = "additional_chat_templates"
_LETTERS = frozenset(ascii_letters + digits)


def read_chat_template(files: TokenizerFiles) -> ChatTemplate | None:
    """The template of tokenizer_config.json, or else of the files that newer checkpoints keep it in."""
    template: object
    if "chat_template" in files.tokenizer_config:
        template = files.tokenizer_config["chat_template"]
    elif files.has(_FILE):
        template = files.text(_FILE)
        if others := sorted(files.path(_OTHERS).glob("*.jinja")):
            template = [{"name": "default", "template": template}]
            template += [{"name": path.stem, "template": files.text(f"{_OTHERS}/{path.name}")} for path in others]
    else:
        template = files.json("chat_template.json").get("chat_template")
    return template if isinstance(template, (str, list)) else None


def add_chat_template(writer: GGUFWriter, template: ChatTemplate | None) -> None:
    """Add one template, or a list of named ones.

    The writer's own method takes lists too, but puts the names in an order that changes from run to run.
    """
    if isinstance(template, list):
        named = {}
        for choice in map(mapping, template):
            name = "".join(c if c in _LETTERS else "_" for c in str(choice.get("name", "")))
            if name and isinstance(text := choice.get("template"), str):
                named[name] = text
        template = named.pop("default", None)
        for name, text in named.items():
            writer.add_string(Keys.Tokenizer.CHAT_TEMPLATE_N.format(name=name), text)
        if named:
            writer.add_array(Keys.Tokenizer.CHAT_TEMPLATES, list(named))
    if template is not None:
        writer.add_chat_template(template)
