"""Every mix against llama.cpp's own choice of types, rule by rule: each is met, and what its reason says is true."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from mix_types.record import BASE, TYPES, compact, tensor_shapes
from mix_types.record import FORMATS as FILE_TYPES

from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.types import WRITABLE_TYPES
from quantize_cli.mixes import rules
from quantize_cli.mixes.base import Candidate, Choice, Mix
from quantize_cli.mixes.overrides import TypeOverrides, parse_tensor_type
from quantize_cli.mixes.rules import choose_types
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.mixes.traits import ModelTraits

Model = dict[str, Any]

RECORDS = [json.loads(line) for line in (Path(__file__).parent / "mix_types" / "types.jsonl").read_text().splitlines()]
#: (number of the record, mix) of what the reference refuses.
REFUSED = [
    (number, mix)
    for number, record in enumerate(RECORDS)
    for mix, found in zip(record["model"].get("mixes", FILE_TYPES), record["types"], strict=True)
    if found is None
]
RULES = [(mix.name, number) for mix in FORMATS.values() for number in range(len(mix.rules))]
#: Parametrizes a test. Because of the scope, pytest runs all tests of a mix together; so one worker examines it.
one_mix_after_the_other = partial(pytest.mark.parametrize, scope="module")


@pytest.fixture(scope="module", autouse=True)
def _names_asked_once() -> Iterator[None]:
    """Keep what pure functions tell of a tensor, because all mixes ask the same: that takes half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for function in (rules.role_of, rules.why_kept):
            patch.setattr(rules, function.__name__, cache(function))
        yield


@cache
def candidates(record: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(*item) for item in tensor_shapes({**BASE, **RECORDS[record]["model"]}).items())


def choices_for(record: int, mix: Mix) -> list[Choice]:
    """The choices for a recorded model."""
    model = {**BASE, **RECORDS[record]["model"]}
    asked = model.get("overrides", {})
    overrides = TypeOverrides(
        output_tensor_type=asked.get("output"),
        token_embedding_type=asked.get("embedding"),
        tensor_types=tuple(parse_tensor_type(f"{pattern}={name}") for pattern, name in asked.get("types", [])),
        pure=asked.get("pure", False),
        leave_output_tensor=asked.get("leave_output", False),
    )
    traits = ModelTraits.of(*(model[key] for key in ("architecture", "layers", "heads", "kv_heads", "experts")))
    return choose_types(candidates(record), mix, traits, overrides, has_importance=model["importance"])


@dataclass(frozen=True)
class Decision:
    """A tensor of a model whose type a rule decided."""

    record: int
    place: int  #: among the model's tensors
    bits_beyond_default: float

    @property
    def model(self) -> Model:
        return {**BASE, **RECORDS[self.record]["model"]}

    @property
    def name(self) -> str:
        return candidates(self.record)[self.place].name

    def is_one_of(self, *kinds: str) -> bool:
        return any(f"{kind}.weight" in self.name for kind in kinds)

    def in_layers(self, chosen: Callable[[int, int], bool]) -> bool:
        """Whether `chosen` says so of its layer and their number; True where rules do not count whole layers."""
        model = self.model
        if "overrides" in model or model["layout"] in {"mixed", "split_experts"}:
            return True
        return chosen(int(self.name.split(".")[1]), model["layers"])


@dataclass
class Examined:
    """What a mix decides for all recorded models."""

    compared: int = 0
    differences: list[str] = field(default_factory=list)
    needs: set[int] = field(default_factory=set)  #: records in which an importance matrix is needed and not given
    by_rule: dict[int, list[Decision]] = field(default_factory=dict)


@cache
def examined(mix_name: str) -> Examined:
    """The mix's decisions; its rules give their numbers for reasons here, so that each can be told."""
    mix = FORMATS[mix_name]
    numbered = replace(mix, rules=tuple(replace(rule, reason=f"rule {n}") for n, rule in enumerate(mix.rules)))
    found = Examined()
    for number, record in enumerate(RECORDS):
        expected = dict(zip(record["model"].get("mixes", FILE_TYPES), record["types"], strict=True)).get(mix_name)
        if expected is None:
            continue
        choices = choices_for(number, numbered)
        names = (candidate.name for candidate in candidates(number))
        ours = compact(dict(zip(names, (choice.type for choice in choices), strict=True)))
        if ours != expected:
            found.differences.append(f"{record['model']}: {ours}, not {expected}")
        if not record["model"].get("importance") and any(choice.requires_importance for choice in choices):
            found.needs.add(number)
        for place, choice in enumerate(choices):
            if choice.reason.startswith("rule "):
                beyond = _bits(choice.type) - _bits(mix.default)
                rule = int(choice.reason.removeprefix("rule "))
                found.by_rule.setdefault(rule, []).append(Decision(number, place, beyond))
        found.compared += 1
    return found


def _bits(type_name: str) -> float:
    return WRITABLE_TYPES[type_name].bits_per_weight


# The types.


@one_mix_after_the_other("mix", FILE_TYPES)
def test_every_tensor_gets_the_references_type(mix: str) -> None:
    """Layers, heads, experts, tied or not, rows of every divisibility, importance or none, types asked for."""
    found = examined(mix)
    assert found.differences == []
    assert found.compared > 90
    assert found.needs == {
        number
        for number, record in enumerate(RECORDS)
        if mix in record["need_importance"] and not record["model"].get("importance")
    }


@pytest.mark.parametrize(("record", "mix"), REFUSED)
def test_what_the_reference_refuses_is_refused_with_the_tensor(record: int, mix: str) -> None:
    with pytest.raises(UsageError, match=r"^\S+\.weight has rows of \d+ weights.*(Q1_0|NVFP4).*choose"):
        choices_for(record, FORMATS[mix])


def test_records_hold_refusals_and_every_type() -> None:
    assert {mix for _, mix in REFUSED} == {"Q1_0", "Q4_K_M"}
    asked = {name for record in RECORDS for _, name in record["model"].get("overrides", {}).get("types", [])}
    assert asked == set(TYPES) == set(WRITABLE_TYPES)


# The reasons.

VALUE = ("attn_v", "attn_qkv", "attn_kv_b")


def _at_both_ends(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8


def _more_bits(layer: int, layers: int) -> bool:
    return _at_both_ends(layer, layers) or (layer - layers // 8) % 3 == 2


def _is_down(decision: Decision) -> bool:
    return "ffn_down" in decision.name


#: A rule's reason -> whether it is true of a tensor that the rule decides.
CLAIMS: dict[str, Callable[[Decision], bool]] = {
    "glm5-next gets at least Q8_0 here": lambda d: d.model["architecture"] == "glm5-next",
    "attn_v is small compared with 8 experts": lambda d: d.is_one_of(*VALUE) and d.model["experts"] == 8,
    "attn_k is small compared with 8 experts": lambda d: d.is_one_of("attn_k") and d.model["experts"] == 8,
    "attn_output is small compared with 8 experts": lambda d: d.is_one_of("attn_output") and d.model["experts"] == 8,
    "attn_v is small compared with 4 experts or more": lambda d: d.is_one_of(*VALUE) and d.model["experts"] >= 4,
    "attn_v of a 70B model gets more bits": lambda d: d.is_one_of(*VALUE) and d.model["layers"] in {68, 80},
    "attn_v is shared by 4 heads or more": lambda d: (
        d.is_one_of(*VALUE) and d.model["heads"] // d.model["kv_heads"] >= 4
    ),
    "attn_v gets more bits in the first two layers": lambda d: (
        d.is_one_of(*VALUE) and d.in_layers(lambda layer, _: layer < 2)
    ),
    "attn_v gets more bits in the first four layers": lambda d: (
        d.is_one_of(*VALUE) and d.in_layers(lambda layer, _: layer < 4)
    ),
    "attn_v gets more bits": lambda d: d.is_one_of(*VALUE) and d.bits_beyond_default > 0,
    "attn_v gets more bits in the first and last 1/8 of the layers and in every third between": lambda d: (
        d.is_one_of(*VALUE) and d.in_layers(_more_bits) and d.bits_beyond_default > 0
    ),
    "attn_q and attn_k get fewer bits": lambda d: d.is_one_of("attn_q", "attn_k") and d.bits_beyond_default < 0,
    "attn_output gets more bits": lambda d: d.is_one_of("attn_output") and d.bits_beyond_default > 0,
    "ffn_down gets more bits": lambda d: _is_down(d) and d.bits_beyond_default > 0,
    "ffn_down gets more bits in the first and last 1/8 of the layers and in every third between": lambda d: (
        _is_down(d) and d.in_layers(_more_bits) and d.bits_beyond_default > 0
    ),
    "ffn_down gets more bits in the first 1/8 of the layers": lambda d: (
        _is_down(d) and d.in_layers(lambda layer, layers: layer < layers // 8)
    ),
    "ffn_down gets more bits in the first 1/16 of the layers": lambda d: (
        _is_down(d) and d.in_layers(lambda layer, layers: layer < layers // 16)
    ),
    "the first 1/8 of all ffn_down get more bits": lambda d: (
        _is_down(d) and d.in_layers(lambda layer, layers: layer < layers // 8)
    ),
    "ffn_gate and ffn_up get fewer bits outside the first and last 1/8 of the layers": lambda d: (
        d.in_layers(lambda layer, layers: not _at_both_ends(layer, layers)) and d.bits_beyond_default < 0
    ),
    "the token embedding gets more bits": lambda d: "token_embd" in d.name and d.bits_beyond_default > 0,
    "experts get MXFP4": lambda d: len(candidates(d.record)[d.place].shape) == 3,
    "only experts get MXFP4": lambda d: d.bits_beyond_default > 0,
}


@one_mix_after_the_other(("mix", "number"), RULES)
def test_a_rule_is_met_and_its_reason_is_given_and_true(mix: str, number: int) -> None:
    rule = FORMATS[mix].rules[number]
    decisions = examined(mix).by_rule.get(number, [])
    assert decisions, "no record needs this rule, which could be wrong"
    assert [d for d in decisions if not CLAIMS[rule.reason](d)] == []
    choice = choices_for(decisions[0].record, FORMATS[mix])[decisions[0].place]
    assert (choice.type, choice.reason, choice.instead_of) == (rule.type, rule.reason, None)


def test_no_claim_is_about_a_reason_that_nobody_gives() -> None:
    assert CLAIMS.keys() == {rule.reason for mix in FORMATS.values() for rule in mix.rules}


@one_mix_after_the_other("mix", FORMATS)
def test_what_fell_back_says_from_where(mix: str) -> None:
    """In models with rows of every divisibility."""
    odd = [
        number
        for number, record in enumerate(RECORDS)
        if "hidden" in record["model"] and (number, mix) not in REFUSED and mix in record["model"].get("mixes", [mix])
    ]
    choices = [
        (choice, candidate)
        for number in odd
        for choice, candidate in zip(choices_for(number, FORMATS[mix]), candidates(number), strict=True)
    ]
    assert all(choice.reason for choice, _ in choices)
    assert all((choice.instead_of is not None) == ("instead of" in choice.reason) for choice, _ in choices)
    fallen = [(choice, candidate) for choice, candidate in choices if choice.instead_of]
    assert bool(fallen) == (WRITABLE_TYPES[FORMATS[mix].default].quantized and mix != "Q1_0")  # nothing replaces that
    for choice, candidate in fallen:
        assert choice.reason.endswith(f": {choice.type} instead of {choice.instead_of}")
        assert choice.reason.startswith(f"{candidate.shape[-1]} columns ")
