"""Where the output may go, what is never overwritten, and what a run survives."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from checkpoint_factory import PRE_TOKENIZER
from command_line import COMMAND, USUAL, sentence, started
from imatrix_factory import squares, write_imatrix

from quantize_cli import quantize as run
from quantize_cli.errors import UsageError
from quantize_cli.outputs.temporary import Temporary

SEVERAL = (*USUAL, "-f", "f16")
NAMES = ["tiny-llama-F16.gguf", "tiny-llama-Q8_0.gguf"]


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


# Folders.


@pytest.mark.parametrize("output", ["new/", "new/sub/", "new/.", "./new//"])
def test_a_separator_at_the_end_is_a_folder_that_is_made(output, quantize, llama, work):
    assert quantize(llama, *USUAL, "-o", output).exit_code == 0
    assert files(work / output) == ["tiny-llama-Q8_0.gguf"]


@pytest.mark.parametrize("output", ["models", "models/deep", "models/"])
def test_several_formats_make_their_folder(output, quantize, llama, work):
    assert quantize(llama, *SEVERAL, "-o", output).exit_code == 0
    assert files(work / output) == NAMES


def test_a_folder_may_be_a_link(quantize, llama, work):
    (work / "real").mkdir()
    (work / "link").symlink_to("real")
    assert quantize(llama, *SEVERAL, "-o", "link/").exit_code == 0
    assert files(work / "real") == NAMES


def test_a_run_that_fails_takes_its_folders_away(quantize, llama, work, monkeypatch):
    def fail(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr("quantize_cli.run.executor.run", fail)
    (work / "kept").mkdir()
    with pytest.raises(MemoryError):
        run(llama, "q8_0", f"{work}/kept/new/sub/", pre_tokenizer=PRE_TOKENIZER)
    assert [str(path.relative_to(work)) for path in work.rglob("*")] == ["kept"]


@pytest.mark.parametrize(
    ("output", "several", "code", "said"),
    [
        ("model.gguf", True, 2, "model.gguf is not a folder, and the run writes 2 files"),
        ("file", True, 2, "file is not a folder, and the run writes 2 files"),
        ("file/", False, 1, "file is not a folder; choose another path with -o"),
        ("file/model.gguf", False, 1, "file is not a folder; choose another path with -o"),
        ("missing/model.gguf", False, 1, "The folder .*/missing does not exist; create it"),
        ("dangling/", False, 1, "dangling is a link to .*/nowhere, which does not exist; create that folder"),
        ("dangling", True, 1, "dangling is a link to .*/nowhere, which does not exist; create that folder"),
        ("dangling/model.gguf", False, 1, "The folder .*/nowhere does not exist; create it"),
        ("loop", False, 1, "loop is a link that leads back to itself"),
        ("", False, 2, "--output is empty"),
        ("a\0b", False, 2, "'a.x00b' cannot be the name of a file; choose another path with -o"),
        ("/proc/model.gguf", False, 1, "/proc/model.gguf is on a file system of the kernel's"),
        (os.devnull, True, 2, "One stream cannot hold several files|not a folder"),
    ],
)
def test_what_cannot_be_is_a_sentence(output, several, code, said, quantize, llama, work):
    (work / "file").write_text("mine")
    (work / "dangling").symlink_to("nowhere")
    (work / "loop").symlink_to("loop")
    result = quantize(llama, *(SEVERAL if several else USUAL), "-o", output)
    told = sentence(result.stderr)
    assert result.exit_code == code
    assert re.search(said, told), told
    assert files(work) == ["dangling", "file", "loop"]


# Devices and pipes.


def test_the_null_device_is_an_output(quantize, llama, work):
    result = quantize(llama, *USUAL, "-o", os.devnull)
    assert result.exit_code == 0
    assert os.devnull in result.stderr
    assert files(work) == []


def test_a_pipe_with_a_name_gets_the_file(quantize, llama, work):
    assert quantize(llama, *USUAL, "-o", "model.gguf").exit_code == 0
    os.mkfifo(work / "pipe")
    with started(llama, *USUAL, "-o", "pipe") as process:
        assert (work / "pipe").read_bytes() == (work / "model.gguf").read_bytes()
        assert process.wait() == 0


# What is never overwritten, with --force neither.


def test_no_file_that_an_option_names_is_overwritten(quantize, llama, work):
    (work / "types.txt").write_text("attn_v=f16")
    write_imatrix(work / "imatrix.gguf", {"blk.0.ffn_up.weight": squares(256)})
    (work / "soft.gguf").symlink_to("types.txt")
    (work / "hard.gguf").hardlink_to(work / "imatrix.gguf")
    before = {name: (work / name).read_bytes() for name in files(work)}
    given = (*USUAL, "--tensor-type-file", "types.txt", "--imatrix", "imatrix.gguf", "--force")
    for output in ("types.txt", "soft.gguf", "imatrix.gguf", "hard.gguf"):
        result = quantize(llama, *given, "-o", output)
        assert result.exit_code == 2
        assert f"{output} is one of the files that the run reads" in sentence(result.stderr)
    (work / "types.md").symlink_to("types.txt")
    result = quantize(llama, *given, "-o", "model.gguf", "--report", "types.md")
    assert "types.md is one of the files that the run reads; choose another path with --report" in result.stderr
    (work / "types.md").unlink()
    assert {name: (work / name).read_bytes() for name in files(work)} == before


def test_the_order_of_types_and_their_file_is_kept(quantize, llama, work):
    (work / "types.txt").write_text("attn_v=f16 ffn_up=f16")
    for number, order in enumerate(([0, 1], [1, 0])):
        options = [("--tensor-type", "attn_v=f32"), ("--tensor-type-file", "types.txt")]
        given = [word for place in order for word in options[place]]
        assert quantize(llama, *USUAL, *given, "-o", f"{number}.gguf").exit_code == 0
    sizes = [(work / f"{number}.gguf").stat().st_size for number in range(2)]
    assert sizes[0] > sizes[1]
    with pytest.raises(UsageError, match="one of the files that the run reads"):
        run(
            llama, "q8_0", "types.txt", tensor_types=iter([work / "types.txt"]), force=True, pre_tokenizer=PRE_TOKENIZER
        )


def test_two_outputs_that_are_one_file_are_refused(quantize, llama, work):
    (work / "target.gguf").write_text("old")
    for name in NAMES:
        (work / name).symlink_to("target.gguf")
    result = quantize(llama, *SEVERAL, "--force")
    assert result.exit_code == 2
    assert "are the same file" in sentence(result.stderr)
    assert (work / "target.gguf").read_text() == "old"


def test_a_report_that_cannot_be_written_leaves_the_model(quantize, llama, work, monkeypatch):
    usual = Temporary.link

    def link(temporary, path):
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        usual(temporary, path)

    monkeypatch.setattr(Temporary, "link", link)
    result = quantize(llama, *USUAL, "-o", "model.gguf", "--report", "report.json")
    assert result.exit_code == 1
    told = sentence(result.stderr)
    assert told.startswith("report.json cannot be written (No space left on device)")
    assert told.endswith("the model itself is complete.")
    assert files(work) == ["model.gguf"]


def test_what_a_killed_run_has_left_is_named(quantize, llama, work):
    (work / ".quantize-0123456789abcdef.tmp").write_bytes(bytes(1234))
    result = quantize(llama, *USUAL)
    assert result.exit_code == 0
    assert (
        ".quantize-0123456789abcdef.tmp (1,234 bytes) is left from a run that was killed; delete it." in result.stderr
    )
    assert (work / ".quantize-0123456789abcdef.tmp").exists()


# Standard error and signals.


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_standard_error_that_is_full_or_gone_does_not_end_a_run(llama, work):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = started(llama, *USUAL, "-o", "full.gguf", stderr=full)
        assert process.communicate()[0] == b""
    assert process.returncode == 0
    process = started(llama, *USUAL, "-o", "gone.gguf")
    process.stderr.close()
    assert process.stdout.read() == b""
    assert process.wait() == 0
    process.stdout.close()
    assert files(work) == ["full.gguf", "gone.gguf"]


def test_no_file_takes_the_number_of_a_closed_stream(llama, work):
    """Whatever a library writes to number 2 would be in the model."""
    script = "import os; from quantize_cli.cli import start; start._hold_standard_streams(); print(os.open('.', 0))"
    closed = 'exec "$@" <&- 2>&-'
    done = subprocess.run(["sh", "-c", closed, "sh", sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) > 2


#: The command, stopped by a signal while its first import goes on, and again after that.
EARLY = """
import importlib.abc, os, signal, sys
from quantize_cli.cli import start

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "click":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.exit(start.main())
"""


def test_an_interrupt_in_the_first_moments_is_one_sentence(work):
    process = started("--version", command=(sys.executable, "-c", EARLY))
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, b"")
    assert sentence(stderr.decode()) == "Interrupted."


#: The command, whose stack does not unwind after the first signal; the second comes, or none.
STUCK = """
import os, signal, sys
del os.O_TMPFILE
from quantize_cli.cli import console, start, stopping
from quantize_cli.run import executor

def stuck(*_arguments, **_options):
    try:
        {first}
    finally:
        {then}

executor.run = stuck
{setup}
sys.exit(start.main())
"""
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"
FOREVER = "import threading; threading.Event().wait(60)"


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files have hidden names anyway")
@pytest.mark.parametrize(
    ("first", "then", "setup"),
    [
        (INTERRUPT, f"os.kill(os.getpid(), signal.SIGTERM); {FOREVER}", ""),
        (INTERRUPT, FOREVER, "stopping._GRACE = 0.2"),
        # What is raised in a destructor is lost, and is raised again.
        (f"type('Lost', (), {{'__del__': lambda _: {INTERRUPT}}})(); {FOREVER}", "pass", ""),
    ],
    ids=["second signal", "end of the grace", "lost exception"],
)
def test_a_process_that_does_not_unwind_ends_all_the_same(first, then, setup, llama, work):
    script = STUCK.format(first=first, then=then, setup=setup)
    process = started(llama, *USUAL, "-o", "model.gguf", command=(sys.executable, "-c", script))
    _, stderr = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGINT
    assert b"Traceback" not in stderr
    assert files(work) == []


def test_no_thread_to_be_had_is_no_reason_to_stop(llama, work):
    script = """
import sys, threading
def start(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = start
from quantize_cli.cli.start import main
sys.exit(main())
"""
    process = started(llama, *USUAL[:-1], "3", "-o", "alone.gguf", command=(sys.executable, "-c", script))
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert b"The system allows 1 of 3 threads" in stderr
    process = started(llama, *USUAL, "-o", "usual.gguf", command=COMMAND)
    process.communicate()
    assert (work / "alone.gguf").read_bytes() == (work / "usual.gguf").read_bytes()
