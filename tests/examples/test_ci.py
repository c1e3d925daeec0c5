"""The files for CI: what they run, run here on the example model, with stand-ins for pip alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
GGUFS = {"out/shakespeare-llama-Q8_0.gguf", "out/shakespeare-llama-F16.gguf"}
MODEL = "examples/shakespeare-llama"


def load(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


ACTION = load("setup-quantize/action.yml")
WORKFLOW = load("github-workflow.yml")
GITLAB = load("gitlab-ci.yml")["quantize"]
STEPS = WORKFLOW["jobs"]["quantize"]["steps"]


@pytest.fixture
def place(tmp_path):
    """A checkout with the example, and the commands that a runner has."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "quantize": f'exec "{sys.executable}" -m quantize_cli "$@"',
        "pip": 'test "$*" = "install quantize-cli"',
        "python": f'if test "$1 $2" = "-m pip"; then shift 2; exec pip "$@"; fi\nexec "{sys.executable}" "$@"',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    return tmp_path


def environment(place: Path, more: Mapping[str, str]) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(place), **more}


def run(script: str, shell: list[str], place: Path, more: Mapping[str, str]) -> None:
    done = subprocess.run(
        [*shell, "-c", script], cwd=place, env=environment(place, more), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def filled(text: str, inputs: Mapping[str, str]) -> str:
    """Replace GitHub's expressions; a secret is missing."""

    def value(expression: re.Match[str]) -> str:
        kind, name = expression[1].split(".")
        return inputs[name] if kind == "inputs" else {"secrets": ""}[kind]

    return re.sub(r"\$\{\{ (\w+\.\w+) \}\}", value, text)


def run_step(step: Mapping[str, Any], inputs: Mapping[str, str], place: Path, env: dict[str, str]) -> None:
    """Run one step as a runner does, and take over what it puts into $GITHUB_ENV."""
    own = {name: filled(value, inputs) for name, value in step.get("env", {}).items()}
    files = {name: str(place / name.lower()) for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    run(step["run"], ["bash", "--noprofile", "--norc", "-eo", "pipefail"], place, {**env, **files, **own})
    kept = place / "github_env"
    if kept.exists():
        env |= dict(line.split("=", 1) for line in kept.read_text().splitlines())


@pytest.mark.slow
def test_the_steps_of_the_workflow_and_its_action_work(place):
    inputs = {"model": MODEL, "formats": "q8_0 f16"}
    job = WORKFLOW["jobs"]["quantize"]
    env = {name: filled(value, inputs) for name, value in job["env"].items()}
    action = {name: entry["default"] for name, entry in ACTION["inputs"].items()}
    for step in STEPS:
        if step.get("uses") == "./.github/actions/setup-quantize":
            action |= {name: filled(value, inputs) for name, value in step["with"].items()}
            for inner in ACTION["runs"]["steps"]:
                if "run" in inner:
                    run_step(inner, action, place, env)
        elif "run" in step:
            run_step(step, inputs, place, env)
    assert env["NUMBA_CACHE_DIR"] == f"{place}/.cache/quantize-kernels"
    assert [*Path(env["NUMBA_CACHE_DIR"]).rglob("*.*")]
    assert (place / "github_output").read_text().startswith("version=quantize-cli")
    assert "in 2 formats" in (place / "github_step_summary").read_text()
    assert {path.relative_to(place).as_posix() for path in (place / "out").iterdir()} == GGUFS
    assert len((place / "SHA256SUMS").read_text().splitlines()) == 2


@pytest.mark.slow
def test_the_script_of_the_gitlab_job_works(place):
    env = {"CI_PROJECT_DIR": str(place), **GITLAB["variables"], "MODEL": MODEL, "FORMATS": "q8_0,f16"}
    env = {name: value.replace("$CI_PROJECT_DIR", str(place)) for name, value in env.items()}
    script = "\n".join([*GITLAB["before_script"], *GITLAB["script"]])
    run(
        script.replace("chmod go-w", "echo"), ["sh", "-e"], place, env
    )  # the folders above the checkout are not its own
    assert [*Path(env["NUMBA_CACHE_DIR"]).rglob("*.*")]
    assert {path.relative_to(place).as_posix() for path in (place / "out").iterdir()} == GGUFS


@pytest.mark.slow
def test_the_recipe_for_make_works(place):
    shutil.copytree(ROOT / MODEL, place / "model")
    (place / "Makefile").write_text(
        f"MODEL := model\nFORMATS := Q8_0 F16\nGGUF_DIR := out\ninclude {CI / 'quantize.mk'}\n"
    )
    run("make gguf-check", ["sh", "-e"], place, {})
    written = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*.gguf")}
    assert {path.name for path in written} == {"model-Q8_0.gguf", "model-F16.gguf"}
    run("make gguf", ["sh", "-e"], place, {})
    assert {path: path.stat().st_mtime_ns for path in written} == written
    (place / "out" / "model-F16.gguf").unlink()
    run("make gguf", ["sh", "-e"], place, {})
    assert (place / "out" / "model-F16.gguf").exists()


def test_every_step_is_a_script_that_its_shell_can_read():
    scripts = [step["run"] for step in [*STEPS, *ACTION["runs"]["steps"]] if "run" in step]
    assert len(scripts) > 5
    for script in [*scripts, *GITLAB["before_script"], *GITLAB["script"]]:
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0, script


def test_no_step_puts_an_expression_into_its_script():
    """What a person types into a form would be run as code; the scripts read variables instead."""
    assert [step["run"] for step in [*STEPS, *ACTION["runs"]["steps"]] if "${{" in step.get("run", "")] == []


def test_the_workflow_uses_the_action_that_lies_beside_it():
    used = [step["uses"] for step in STEPS if step.get("uses", "").startswith("./")]
    assert used == ["./.github/actions/setup-quantize"]
    assert {*next(step["with"] for step in STEPS if step.get("uses") in used)} <= {*ACTION["inputs"]}


def test_the_actions_are_those_of_this_project_s_own_workflows():
    ours = set(
        re.findall(
            r"uses: (actions/[\w-]+@\S+)", "".join(f.read_text() for f in (ROOT / ".github/workflows").iterdir())
        )
    )
    shown = {step["uses"] for step in [*STEPS, *ACTION["runs"]["steps"]] if step.get("uses", "").startswith("actions/")}
    assert shown - ours == {"actions/cache@v5"}


def test_the_kernels_are_kept_by_version_and_processor():
    (key,) = [step["with"]["key"] for step in ACTION["runs"]["steps"] if "cache" in step.get("uses", "")]
    assert {"${{ runner.os }}", "${{ runner.arch }}", "${{ steps.kernels.outputs.version }}"} <= {
        *re.findall(r"\$.*?\}\}", key)
    }


def docker_instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in lines]


def test_the_image_runs_as_a_user_without_rights_after_the_kernels_are_compiled():
    words = [word for word, _ in docker_instructions()]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "RUN")
    assert ("USER", "quantize") in docker_instructions()
    assert any("quantize warm" in rest for word, rest in docker_instructions() if word == "RUN")


def test_the_image_gets_all_that_it_copies():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        name
        for word, rest in docker_instructions()
        if word == "COPY" and "--from" not in rest
        for name in rest.split()[:-1]
    ]
    assert copied
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_report_has_what_the_scripts_read():
    """Names of fields in jq's expressions, for the day that one is renamed."""
    recipe = (ROOT / "examples" / "ci" / "quantize.mk").read_text()
    assert set(re.findall(r"\.(reports|files|sha256|path)\b", recipe)) == {"reports", "files", "sha256", "path"}
