"""What holds for every family: wrong inputs are refused, and its file is small."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from architectures.broken import headers_of
from architectures.refusals import one_sentence, refuse
from golden.families.case import Case
from golden.families.checkpoints import CASES

from quantize_cli.architectures import families
from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.examine import Findings, RawModel, examine, of_parts
from quantize_cli.architectures.families.table import BASE_CLASSES, FAMILIES
from quantize_cli.architectures.family import Family
from quantize_cli.architectures.small_tensors import read_small
from quantize_cli.errors import CheckpointError

#: A family is at most so many lines of data: those of its file without docstrings, comments, imports and blank lines.
#: A file may have several families.
MAX_LINES = 60
#: File -> why it is longer.
LONGER = {
    "falcon_h1": "config.json multiplies the weights of thirteen kinds of tensors",
}

#: Architectures that the reference cannot convert; tests/test_better_than_the_reference.py has their cases.
WITHOUT_RECORD = {"baichuan"}

#: Names of the hidden size in config.json.
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")


def class_of(case: Case) -> str:
    """Return the class that converts a case."""
    text = case.config.get("text_config") or {}
    name = (text.get("architectures") or case.config.get("architectures") or [""])[0]
    return BASE_CLASSES.get(name, name)


def family_of(case: Case) -> Family | None:
    """Return the family that converts a case, None if its class is unknown."""
    if (family := FAMILIES.get(name := class_of(case))) is None:
        return None
    without_files = SimpleNamespace(has=lambda _name: False, where=lambda file: file)
    model = RawModel(case.name, family, name, case.config, without_files, {}).model()
    return family.special(family, model) or family


def examples() -> Iterator[tuple[Case, Family]]:
    """Yield the first case of every architecture."""
    seen = set()
    for case in CASES.values():
        family = family_of(case)
        if family is not None and not case.refusal and family.architecture not in seen:
            seen.add(family.architecture)
            yield case, family


EXAMPLES = [pytest.param(case, id=family.architecture) for case, family in examples()]


def findings_of(checkpoint, case: Case) -> Findings:
    """Examine a case from its headers."""
    raw = RawModel(case.name, family_of(case), class_of(case), case.config, checkpoint.sidecars, checkpoint.infos)
    return examine(RawModel(**{**vars(raw), "read": lambda tensor: read_small(checkpoint, tensor)}))


def test_every_architecture_has_a_case():
    assert {case.id for case in EXAMPLES} >= {family.architecture for family in FAMILIES.values()} - WITHOUT_RECORD


@pytest.mark.parametrize("case", EXAMPLES)
def test_a_missing_tensor_is_named(case, make_checkpoint):
    record = headers_of(case)
    found = findings_of(make_checkpoint(**record), case)
    assert not found.faulty
    # A tied embedding may be saved under the output's name alone, so the last of these tensors is tried.
    required = [*found.raw.family.outside[-1:], *of_parts(found.raw.family.parts, found.model)]
    for number, name in enumerate((required[0], required[len(required) // 2], required[-1])):
        lost = found.named[name].sources[0].name
        tensors = {key: tensor for key, tensor in record["tensors"].items() if key != lost}
        message = refuse(
            make_checkpoint(**{**record, "name": f"without-{number}", "tensors": tensors}), CheckpointError
        )
        assert lost in message or name in message, message


@pytest.mark.parametrize("case", EXAMPLES)
def test_a_config_that_contradicts_a_shape_is_refused(case, make_checkpoint):
    record = copy.deepcopy(headers_of(case))
    config = record["files"]["config.json"]
    parts = (config, *(part for part in config.values() if isinstance(part, dict)))
    changed = [(part, key) for part in parts for key in HIDDEN if key in part]
    assert changed
    for part, key in changed:
        part[key] = 2 * part[key]
    with pytest.raises(CheckpointError) as caught:
        describe(make_checkpoint(**record))
    one_sentence(caught.value)


def test_a_family_is_a_small_file_of_data():
    long = set()
    for path in Path(families.__path__[0]).glob("*.py"):
        source = path.read_text()
        held = len(re.findall(r"^[A-Z0-9_]+ = (?:Family|replace)\(", source, re.MULTILINE))
        if path.name != "table.py" and lines_of_data(source) > MAX_LINES * max(1, held):
            long.add(path.stem)
    assert long == LONGER.keys()


def lines_of_data(source: str) -> int:
    """Count the lines of a module without its docstrings, comments, imports and blank lines."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") for number, line in lines if number not in left_out
    )
