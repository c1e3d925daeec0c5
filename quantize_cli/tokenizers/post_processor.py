"""The special tokens that encoding a text adds, according to tokenizer.json's post-processor.

This follows the reference converter to the letter. It looks only at the ends of simple templates, prefers the
post-processor to tokenizer_config.json, and lets it fill the roles that tokenizer_config.json leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantize_cli.tokenizers.json_values import mapping, sequence


class Roles:
    """The tokens' roles in tokenizer_config.json, which a post-processor changes.

    `config` has the entries `bos_token` and so on, `types` has the roles that matter, and `added` tells for a role
    whether encoding a text adds its token.
    """

    def __init__(self, config: Mapping[str, Any], types: tuple[str, ...]) -> None:
        self.config = dict(config)
        self.types = types
        self.added: dict[str, bool] = {}
        self._named = bool(config)  # without a tokenizer_config.json, a role's token is the one in its place

    def read(self, post_processor: dict[str, Any]) -> None:
        """Apply a post-processor of tokenizer.json."""
        self._fill("bos", self.config.get("cls_token"))
        self._fill("eos", self.config.get("sep_token"))
        for processor in map(mapping, sequence(post_processor.get("processors", [post_processor]))):
            match processor.get("type"):
                case "ByteLevel":
                    self.added.setdefault("bos", False)
                    self.added.setdefault("eos", False)
                case "RobertaProcessing":
                    self.added.update(bos=True, eos=True, sep=True)
                    for role in ("cls", "sep"):
                        self._fill(role, next(iter(sequence(processor.get(role))), None))
                case "TemplateProcessing":
                    self._read_template(sequence(processor.get("single")), sequence(processor.get("pair")))

    def _fill(self, role: str, token: object) -> None:
        """Give the role to `token` if tokenizer_config.json leaves it open."""
        if self._named and not self.config.get(f"{role}_token"):
            self.config[f"{role}_token"] = token

    def _read_template(self, single: list[Any], pair: list[Any]) -> None:
        first, last = (_token(single[0]), _token(single[-1])) if len(single) > 1 else (None, None)
        if first:
            self._read_first(first)
        if last:
            self._read_last(last)
        if first and pair and _token(pair[0]) == first:
            pair = pair[1:]
        if last and pair and _token(pair[-1]) == last:
            pair = pair[:-1]
        if len(pair) > 2 and _text(pair[0]) == "A" and _text(pair[-1]) == "B":
            self._read_between([_token(part) for part in pair[1:-1]], alone=not last)

    def _read_first(self, first: str) -> None:
        if not self._named:
            self.config["bos_token"] = first
        elif first not in self._tokens("bos", "cls"):
            self._fill("bos", first)
            self._fill("cls", first)
        self.added["bos"] = first in self._tokens("bos", "cls")

    def _read_last(self, last: str) -> None:
        eos = self.config.get("eos_token")
        if self._named and last != eos:
            # the EOS of tokenizer_config.json becomes the end of a turn, or, if that is taken, of a message
            displaced = next((role for role in ("eot", "eom") if role not in self.types), None)
            if displaced:
                self.types = (*self.types, displaced)
                self.config[f"{displaced}_token"] = eos
        self.config["eos_token"] = last
        self.added["eos"] = True

    def _read_between(self, tokens: list[str | None], alone: bool) -> None:
        separators = self._tokens("sep", "eos")
        added = alone and tokens[0] in separators
        if len(tokens) == 2:
            added = added or tokens[1] in separators
        self.added["sep"] = added
        if added:
            self._fill("sep", self.config.get("eos_token"))

    def _tokens(self, *roles: str) -> list[Any]:
        return [token for role in roles if (token := self.config.get(f"{role}_token"))]


def _token(part: object) -> str | None:
    """Return the special token in a part of a template."""
    token = mapping(mapping(part).get("SpecialToken")).get("id")
    return token if isinstance(token, str) else None


def _text(part: object) -> object:
    """Return the text in a part of a template, "A" or "B"."""
    return mapping(mapping(part).get("Sequence")).get("id")
