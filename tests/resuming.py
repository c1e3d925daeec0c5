"""Runs that are killed from outside at a known moment, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from checkpoint_factory import PRE_TOKENIZER

from quantize_cli import Report, quantize
from quantize_cli.observer import Observer

OPTIONS = {"pre_tokenizer": PRE_TOKENIZER, "threads": 1}

#: A run that notes its progress as often as it can, and stops for good after a number of slabs, to be killed there.
_STOPPING = """
import json, sys, time
from quantize_cli import quantize
from quantize_cli.observer import Observer
from quantize_cli.run import progress, slabs

progress.SECONDS = progress._PART = 0.0
model, formats, output, slabs_left, options = json.loads(sys.argv[1])

class Stopping(Observer):
    left = slabs_left
    def weights_done(self, weights):
        self.left -= 1
        if self.left < 0:
            print("stopped", flush=True)
            time.sleep(60)

quantize(model, formats, output, observer=Stopping(), **options)
print("finished", flush=True)
"""


class Told(Observer):
    """Keeps what is noted, and counts weights by event."""

    def __init__(self) -> None:
        self.noted_sentences: list[str] = []
        self.weights: list[int] = []

    def noted(self, sentence: str) -> None:
        self.noted_sentences.append(sentence)

    def weights_done(self, weights: int) -> None:
        self.weights.append(weights)


def killed_after(slabs: int, model: Path, formats: str | list[str], output: Path, **options: Any) -> bool:
    """Start a run and kill it after some slabs; tell whether it had not finished by then."""
    arguments = json.dumps([str(model), formats, str(output), slabs, {**OPTIONS, **options}])
    command = [sys.executable, "-c", _STOPPING, arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if said == "stopped":
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        else:
            assert (said, process.wait()) == ("finished", 0)
    return said == "stopped"


def run(model: Path, formats: str | list[str], output: Path, **options: Any) -> tuple[list[Report], Told]:
    """Run in this process: the reports, and what the observer was told."""
    told = Told()
    reports = quantize(model, formats, output, observer=told, **{**OPTIONS, **options})
    return reports if isinstance(reports, list) else [reports], told


def figures(report: Report) -> dict[str, Any]:
    """All of a report that does not depend on the time and the machine, or on where the output is."""
    content = report.to_dict()
    for name in ("seconds", "compile_seconds", "weights_per_second", "peak_memory_bytes", "threads"):
        del content["totals"][name]
    content["files"] = [{**file, "path": Path(file["path"]).name} for file in content["files"]]
    return {**content, "output": Path(content["output"]).name}


def hidden(folder: Path) -> list[Path]:
    """The hidden files that runs have left in a folder."""
    return sorted(path for path in folder.iterdir() if path.name.startswith(".quantize-"))
