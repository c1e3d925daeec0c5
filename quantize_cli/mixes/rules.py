"""The engine: a mix and a tensor's place -> its type, and why. Pure."""

from __future__ import annotations

from quantize_cli.formats import FORMATS
from quantize_cli.mixes.base import Choice, Mix, Place
from quantize_cli.mixes.fallback import fitting_type
from quantize_cli.mixes.roles import Role


def choose(mix: Mix, place: Place, columns: int) -> Choice:
    """The type that `mix` gives to a tensor at `place` with rows of `columns` weights, fallback included."""
    wanted = _wanted(mix, place, columns)
    fitting = fitting_type(wanted.type, columns)
    if fitting == wanted.type:
        return wanted
    ruled_out = wanted.instead_of or wanted.type
    reason = f"{columns} columns do not divide by {FORMATS[wanted.type].block_size}: {fitting} instead of {ruled_out}"
    return Choice(fitting, reason, instead_of=ruled_out)


def _wanted(mix: Mix, place: Place, columns: int) -> Choice:
    quantized = FORMATS[mix.default].block_size > 1
    if quantized and (place.role is Role.OUTPUT or (place.tied and place.role is Role.TOKEN_EMBD)):
        return _output(mix, place, columns)
    for rule in mix.rules:
        if place.role in rule.roles and rule.when(place):
            return Choice(rule.type, rule.reason)
    return Choice(mix.default, f"{mix.name}'s default")


def _output(mix: Mix, place: Place, columns: int) -> Choice:
    """The output matrix gets at least Q6_K, in every quantized mix."""
    if mix.default == "Q8_0":
        return Choice("Q8_0", f"{mix.name}'s default")
    block = FORMATS[mix.default].block_size
    if columns % block:
        reason = f"{columns} columns do not divide by {block}: Q8_0 instead of Q6_K"
        return Choice("Q8_0", reason, instead_of="Q6_K")
    tied = "token_embd is the output matrix too" if place.role is Role.TOKEN_EMBD else "the output matrix"
    return Choice("Q6_K", f"{tied}: more bits")
