"""At a real terminal, and when it is closed or somebody presses Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import COMMAND, USUAL, sentence, started
from safetensors.numpy import load_file, save_file

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals and signals")

#: The command, but for a stop once the second layer is announced: then a signal finds it in the middle of its work.
STOPPING = """
import signal, sys
from quantize_cli.cli import progress, start

announce = progress._Lines.tensor_started

def announce_and_wait(self, tensor):
    announce(self, tensor)
    if tensor.name.startswith("blk.1."):
        signal.alarm(60)  # a signal that never comes must not hang the tests
        signal.pause()

progress._Lines.tensor_started = announce_and_wait
sys.exit(start.main())
"""


#: The same where the system does not have files without names.
NAMED = f"import os; del os.O_TMPFILE\n{STOPPING}" if hasattr(os, "O_TMPFILE") else STOPPING


def told_until(process, end):
    """Read standard error until it has said `end`."""
    told = b""
    while end not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    return told


@pytest.mark.parametrize(
    ("number", "code", "script"),
    [
        pytest.param(signal.SIGINT, 130, STOPPING, id="INT-unnamed"),
        pytest.param(signal.SIGTERM, 143, STOPPING, id="TERM-unnamed"),
        pytest.param(signal.SIGHUP, 129, STOPPING, id="HUP-unnamed"),
        pytest.param(signal.SIGINT, 130, NAMED, id="INT-named"),
        # What a signal does and how files are left are two questions: their other pairs are for `make test-slow`.
        pytest.param(signal.SIGTERM, 143, NAMED, id="TERM-named", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, NAMED, id="HUP-named", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_leaves_the_folder_as_it_was(number, code, script, llama, work):
    (work / "model.gguf").write_text("of yesterday")
    process = started(llama, *USUAL, "-o", "model.gguf", "--force", command=(sys.executable, "-c", script))
    told = told_until(process, b" blk.1,")
    assert sorted(path.suffix for path in work.iterdir()) == [".gguf"] + [".tmp"] * (script is NAMED)
    process.send_signal(number)
    told += process.communicate()[1]
    assert process.returncode == code
    assert [path.read_text() for path in work.iterdir()] == ["of yesterday"]
    assert b"Traceback" not in told
    if number == signal.SIGINT:
        assert "Interrupted" in sentence(told.decode())


def test_nohup_is_respected(llama, work):
    """Where SIGHUP is ignored from the start, the run outlives its terminal."""
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{STOPPING}".replace(
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
