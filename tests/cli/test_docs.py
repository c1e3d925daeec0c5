"""What the documents say is what the program does."""

from __future__ import annotations

import re
import runpy
import sys
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from command_line import invoke

from quantize_cli.api import preview
from quantize_cli.architectures.catalogue import MODELS, ArchitectureFacts
from quantize_cli.architectures.families.table import FAMILIES
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.cli import console, evaluation_view, inspection, listing, plan_view, verification
from quantize_cli.cli.app import GROUP
from quantize_cli.cli.help import EXAMPLES
from quantize_cli.inspection.model import (
    SCHEMA_VERSION,
    DtypeFacts,
    Hyperparameters,
    Inspection,
    Parameters,
    Quantization,
    Source,
    TokenizerFacts,
)
from quantize_cli.mixes.catalogue import catalogue
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.planning.format_sizes import FormatSize
from quantize_cli.previews.model import SCHEMA_VERSION as PLAN_SCHEMA

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

COMMANDS = GROUP.commands


def test_readme_shows_every_option_and_no_other():
    options = {name for parameter in COMMANDS["model"].params for name in parameter.opts}
    options.discard("words")
    shown = set(re.findall(r"`(--?[a-zA-Z-]+)\b", README.split("| option | meaning |")[1].split("\n\n")[0]))
    assert shown == options | {"--help", "-h"}


def test_readme_shows_every_command():
    usage = README.split("## The command\n")[1].strip().split("\n\n")[0]
    assert {line.split()[1] for line in usage.splitlines()} == {"MODEL", *COMMANDS}


def test_readme_lists_every_format_as_the_command_does():
    rows = README.split("| format | bits | importance matrix | good for |\n")[1].split("\n\n")[0].splitlines()[1:]
    assert rows == [
        f"| `{facts.name.lower()}` | {facts.model_bits_per_weight:.2f} | {facts.importance} | {facts.good_for}"
        f"{''.join(f' Also called `{alias.lower()}`.' for alias in facts.aliases)} |"
        for facts in catalogue()
    ]
    assert len(rows) == len(FORMATS)


def test_help_says_how_the_formats_are_listed():
    option = next(p for p in COMMANDS["model"].params if p.name == "formats")
    assert "`quantize formats`" in getattr(option, "help", "")
    assert "formats" in COMMANDS


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code, {})
    assert {path.name for path in tmp_path.glob("*.gguf")} == {
        "out.gguf",
        "shakespeare-llama-Q8_0.gguf",
        "shakespeare-llama-Q4_K_M.gguf",
    }
    _, *formats, size = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in formats] == ["Q8_0", "Q4_K_M"]
    assert int(size) < (tmp_path / "shakespeare-llama-Q4_K_M.gguf").stat().st_size


def test_the_commands_of_the_readme_work(tmp_path, monkeypatch):
    """Those on the example, in their order, as in a fresh clone."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    quantize ((?:inspect )?(?:examples/|shakespeare).*)$", README, re.MULTILINE)
    commands = [line for line in lines if "|" not in line]  # a pipe needs a shell
    assert len(commands) >= 4
    for command in commands:
        result = invoke(*command.split())
        assert result.exit_code == 0, result.stderr
    assert len([*tmp_path.glob("*.gguf")]) + len([*(tmp_path / "models").glob("*.gguf")]) == 11


def commands_shown() -> list[str]:
    """Every line of the README and the help that calls the command, without those that show its grammar."""
    blocks = re.findall(r"^    (?:RUN \S+ )?(quantize .*)$", README, re.MULTILINE)
    return [*dict.fromkeys([*(line for line in blocks if not re.search(r"NAME|\[|bash\|", line)), *EXAMPLES])]


@pytest.mark.parametrize("line", commands_shown())
def test_every_command_that_is_shown_is_understood(line, tmp_path, monkeypatch):
    """The command line as it is shown, with the library's jobs replaced by stand-ins that hear what they shall do."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for name in ("MODEL", "path/to/model", "path/to/other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("model-BF16.gguf", "model-Q4_K_M.gguf", "shakespeare-llama-BF16.gguf"):
        (tmp_path / name).touch()
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    (tmp_path / "quantize.toml").write_text('models = ["path/to/model"]\nformats = ["q8_0"]\n')
    monkeypatch.chdir(tmp_path)
    heard: list[object] = []

    def hear(of_what, *_arguments, **_options):
        heard.append(of_what if isinstance(of_what, list) else str(of_what))
        return [] if words[1] not in ("inspect", "formats", "verify") else SimpleNamespace(refusal=None, ok=True)

    for job in ("api.quantize", "api.preview", "api.inspect", "api.verify", "run.compiling.warm"):
        monkeypatch.setattr(f"quantize_cli.{job}", hear)
    monkeypatch.setattr("quantize_cli.calibrate.extra.check_extra", lambda: None)
    for job in ("calibrate", "evaluate"):
        engine = ModuleType(f"quantize_cli.calibrate.{job}")
        engine.__dict__[job] = lambda of_what, *_arguments, **_options: heard.extend(
            [of_what] if isinstance(of_what, str) else of_what
        )
        monkeypatch.setitem(sys.modules, engine.__name__, engine)
    for show in ("show", "show_calibration", "check"):
        monkeypatch.setattr(evaluation_view, show, lambda *_found, **_how: None)
    monkeypatch.setattr("quantize_cli.report.evaluations.write.write_evaluation", lambda *_found, **_how: None)
    monkeypatch.setattr(console, "show", lambda _reports: None)
    monkeypatch.setattr(inspection, "show", lambda _found, **_how: None)
    monkeypatch.setattr(plan_view, "show", lambda _found, **_how: None)
    monkeypatch.setattr(listing, "show_for", lambda *_found, **_how: None)
    monkeypatch.setattr(verification, "show", lambda _found, **_how: None)
    words = line.split()
    result = invoke(*line.partition(" |")[0].split()[1:])
    assert result.exit_code == 0, result.stderr
    assert heard == MODELS_OF.get(words[1], existing)(words)


def existing(words: list[str]) -> list[str]:
    """Return the words before the options that are paths here, or a Hub id."""
    return [
        word
        for word in takewhile(lambda word: word[0] != "-", words[1:])
        if Path(word).exists() or word.startswith("Hugging")
    ]


#: First word -> what the job of the command hears of; without one, it is the words before the options.
MODELS_OF = {
    **dict.fromkeys(("inspect", "plan", "verify"), lambda words: words[2:3]),
    "formats": lambda words: words[words.index("--for") + 1 :][:1] if "--for" in words else [],
    "--config": lambda _words: ["path/to/model"],
    "warm": lambda words: [[name.upper() for name in words[2:]]],
}


def test_many_commands_are_shown():
    assert len(commands_shown()) >= 14


def test_readme_lists_the_models_that_the_code_converts():
    """`make readme` writes the table again."""
    tool = runpy.run_path(str(ROOT / "tools" / "readme_models.py"))
    assert tool["renewed"](README) == README
    table = README.split(tool["HEAD"])[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == set(FAMILIES)


def test_every_class_has_the_names_of_its_models():
    assert MODELS.keys() == FAMILIES.keys()
    assert all(MODELS.values())


def test_the_json_of_an_inspection_is_described():
    page = (ROOT / "docs" / "inspect.md").read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    kinds = (Source, DtypeFacts, Parameters, Hyperparameters, TokenizerFacts, Quantization, Inspection, FormatSize)
    held = {field.name for kind in (*kinds, ArchitectureFacts) for field in fields(kind)}
    assert described == held | {"schema_version", "generator"}
    assert f"version of this description: {SCHEMA_VERSION} " in page


def test_the_json_of_a_plan_is_described():
    page = (ROOT / "docs" / "plan.md").read_text()
    described = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    planned = preview(ROOT / "examples" / "shakespeare-llama", "q8_0").to_dict()
    assert described == set(_keys(planned))
    assert f"version of this description: {PLAN_SCHEMA} " in page


def _keys(value):
    """Every key of JSON objects inside of each other; those of moves and maps are their own."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        if key not in ("moves", "maps"):
            yield from _keys(inner)
    for inner in value if isinstance(value, list) else ():
        yield from _keys(inner)


def test_readme_names_every_block_type_as_compared():
    paragraph = README.split("* **Blocks**")[1].split("* **Whole")[0]
    assert set(BLOCK_TYPES) - {"F32"} <= set(re.findall(r"\b[A-Z]+[0-9A-Z_]+\b", paragraph))


def test_the_map_names_every_room():
    entries = [path for path in (ROOT / "quantize_cli").iterdir() if path.is_dir() or path.suffix == ".py"]
    rooms = {path.name + "/" * path.is_dir() for path in entries if not path.name.startswith("__")}
    text = (ROOT / "docs" / "design" / "architecture.md").read_text()
    assert [room for room in sorted(rooms) if room not in text] == []


def test_links_in_the_documents_lead_somewhere():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]
    links = [(page, target) for page in documents for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
    assert len(links) > 10
    assert [(page, target) for page, target in links if not (page.parent / target).exists()] == []
