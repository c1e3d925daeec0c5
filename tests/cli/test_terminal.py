"""At a real terminal, and when it is closed or somebody presses Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import COMMAND, USUAL, invoke, sentence, started
from safetensors.numpy import load_file, save_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals and signals")

#: The command, but for a stop once the second layer is announced: then a signal finds it in the middle of its work.
STOPPING = """
import signal, sys
from quantize_cli.cli import progress as shown
from quantize_cli.cli import start
from quantize_cli.run import progress

progress.SECONDS = {seconds}
announce = shown._Lines.tensor_started

def announce_and_wait(self, tensor):
    announce(self, tensor)
    if tensor.name.startswith("blk.1."):
        signal.alarm(60)  # a signal that never comes must not hang the tests
        signal.pause()

shown._Lines.tensor_started = announce_and_wait
sys.exit(start.main())
"""


def told_until(process, end):
    """Read standard error until it has said `end`."""
    told = b""
    while end not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    return told


@pytest.mark.parametrize(
    ("number", "code", "noted"),
    [
        pytest.param(signal.SIGINT, 130, False, id="INT-at once"),
        pytest.param(signal.SIGTERM, 143, True, id="TERM-later"),
        # What a signal does and whether anything is worth keeping are two questions: their other pairs are for
        # `make test-slow`.
        pytest.param(signal.SIGINT, 130, True, id="INT-later", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, False, id="TERM-at once", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, False, id="HUP-at once", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, True, id="HUP-later", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_leaves_only_what_can_go_on(number, code, noted, llama, work):
    """In the first second of a run, nothing is worth keeping."""
    script = STOPPING.format(seconds=0 if noted else 1000)
    (work / "model.gguf").write_text("of yesterday")
    process = started(llama, *USUAL, "-o", "model.gguf", "--force", command=(sys.executable, "-c", script))
    told = told_until(process, b" blk.1,")
    assert sorted(path.suffix for path in work.iterdir()) == [".gguf", ".journal", ".tmp"]
    process.send_signal(number)
    told += process.communicate()[1]
    assert process.returncode == code
    left = sorted(path.suffix for path in work.iterdir())
    assert left == ([".gguf", ".journal", ".tmp"] if noted else [".gguf"])
    assert (work / "model.gguf").read_text() == "of yesterday"
    assert b"Traceback" not in told
    assert (b"run the same again to go on" in told) == noted
    if number == signal.SIGINT:
        assert "Interrupted" in sentence(told.decode())
    result = invoke(llama, *USUAL, "-o", "model.gguf", "--force")
    assert result.exit_code == 0, result.stderr
    assert ("Going on with model.gguf: an earlier run was stopped after" in result.stderr) == noted
    assert [path.name for path in work.iterdir()] == ["model.gguf"]


def test_nohup_is_respected(llama, work):
    """Where SIGHUP is ignored from the start, the run outlives its terminal."""
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{STOPPING.format(seconds=1)}".replace(
        "signal.pause()", HANG_UP
    )
    process = started(llama, *USUAL, command=(sys.executable, "-c", script))
    assert process.communicate()[1]
    assert process.returncode == 0
    assert [path.name for path in work.iterdir()] == ["tiny-llama-Q8_0.gguf"]


HANG_UP = "__import__('os').kill(__import__('os').getpid(), signal.SIGHUP)"


def test_ctrl_c_while_a_pipe_is_full(llama, work):
    """Nobody reads: the run stands in a write, where a signal must reach it too."""
    process = started(llama, *USUAL, "-o", "-")
    process.stdout.read(4)
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    with process.stderr as stderr:
        assert "Interrupted" in sentence(stderr.read().decode())
    assert process.wait() == 130


def on_terminal(arguments, stream):
    """Run the command with "stdout" or "stderr" on a terminal: exit code, what it showed, what the other stream got."""
    ours, its = os.openpty()
    other = "stderr" if stream == "stdout" else "stdout"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    streams = {stream: its, other: subprocess.PIPE, "stdin": subprocess.DEVNULL}
    process = subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment, **streams)
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # Linux says EIO once the other end is closed
        pass
    finally:
        os.close(ours)
    rest = b"".join(part or b"" for part in process.communicate())
    return process.returncode, shown.decode(), rest.decode()


def test_a_terminal_gets_no_gguf_file(llama, work):
    code, shown, told = on_terminal((llama, *USUAL, "-o", "-"), "stdout")
    assert code == 2
    assert shown == ""
    assert "terminal" in sentence(told)


def test_a_bar_is_gone_before_the_report_is_shown(llama, work):
    code, shown, stdout = on_terminal((llama, *USUAL), "stderr")
    assert code == 0
    assert stdout == ""
    assert "largest errors" in shown
    assert not re.search(r"(?m)^ *\d+% ", shown)  # no lines for layers


def test_an_error_stands_on_a_line_of_its_own_below_a_bar(own_llama, work):
    weights = load_file(own_llama / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = np.nan
    save_file(weights, own_llama / "model.safetensors")
    code, shown, _ = on_terminal((own_llama, *USUAL), "stderr")
    assert code == 1
    last = re.split(r"[\r\n]+", shown.strip())[-1]
    assert last.startswith("quantize: Tensor model.layers.1.mlp.up_proj.weight")
