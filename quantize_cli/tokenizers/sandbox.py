"""A function on untrusted bytes in a process of its own, with limits on time and memory.

A library in native code can end its process or work for ever, and no exception tells of it. What happens in the other
process becomes one sentence here. The process does not see modules in the current folder: it starts isolated, with the
folders of the packages that it needs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

from quantize_cli.errors import CheckpointError, QuantizeError
from quantize_cli.tokenizers.child.main import OUT_OF_MEMORY

_MIB = 1 << 20
_START = """\
import sys
sys.path += sys.argv[3:]
from quantize_cli.tokenizers.child.main import main
sys.exit(main(*sys.argv[1:3]))
"""
#: One text does not need threads.
_ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false"}
#: Seconds by the clock for each second of computing, which end a process that waits, or that has no other limit.
_PATIENCE = 6


@dataclass(frozen=True, slots=True)
class Limits:
    """What the other process may use."""

    seconds: int  #: of computing
    mebibytes: int  #: of data; not enforced on macOS and Windows


_meanwhile: ContextVar[Callable[[], None] | None] = ContextVar("_meanwhile", default=None)


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Let `work`, which does not raise, be done on a thread while this process waits for another one.

    It is done once at most, and not before a wait: what is refused at once does without.
    """
    token = _meanwhile.set(work)
    try:
        yield
    finally:
        _meanwhile.reset(token)


@contextmanager
def _waiting() -> Iterator[None]:
    """Do what there is to do meanwhile."""
    work = _meanwhile.get()
    _meanwhile.set(None)
    thread = None if work is None else Thread(target=work)
    if thread is not None:
        try:
            thread.start()
        except RuntimeError:  # no thread is to be had
            thread = None
    try:
        yield
    finally:
        if thread is not None:
            thread.join()


def in_child(request: bytes, what: str, limits: Limits, packages: Sequence[str]) -> bytes:
    """Return what `child.main.answer` makes of `request` in a process of its own.

    Args:
        request: The bytes for the function.
        what: The file's name in messages.
        limits: What the process may use.
        packages: The packages that it imports beside this one.

    Raises:
        CheckpointError: The process crashed, or exceeded its limits.
        QuantizeError: The system does not start a process.
    """
    arguments = [str(limits.seconds), str(limits.mebibytes), *_folders("quantize_cli", *packages)]
    try:
        with _waiting():
            ended = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _START, *arguments],
                input=request,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE * limits.seconds,
                env={**os.environ, **_ENVIRONMENT},
                check=False,
            )
    except subprocess.TimeoutExpired:  # of a process that waits, has no other limit, or hardly gets to compute
        raise CheckpointError(
            f"{what} has not been read after {_PATIENCE * limits.seconds} s; run this again when the machine has less "
            "to do, or take the model from a source you trust."
        ) from None
    except OSError as error:
        raise QuantizeError(
            f"{what} is read in a process of its own, but the system does not start one ({error.strerror}); "
            "raise the limits on processes, memory and open files."
        ) from error
    if ended.returncode == 0:
        return ended.stdout
    cause = _cause(ended.returncode)
    if cause == "SIGXCPU":
        raise CheckpointError(
            f"{what} takes more than {limits.seconds} s to read, which is too much for its size; take the model from a "
            "source you trust."
        )
    if ended.returncode == OUT_OF_MEMORY:
        raise CheckpointError(
            f"{what} takes more than {limits.mebibytes} MiB of memory to read, which is too much for its size; "
            "take the model from a source you trust."
        )
    raise CheckpointError(
        f"{what} crashes what reads it, or takes more than {limits.mebibytes} MiB of memory ({cause}); "
        "download it again, from a source you trust."
    )


def _cause(status: int) -> str:
    """Return the name of the signal that ended a process, or its exit status."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _folders(*packages: str) -> Iterator[str]:
    """Yield the folders, or archives, in which packages lie; to find a package's spec does not import it."""
    found = (find_spec(name) for name in packages)
    paths = (path for spec in found if spec is not None for path in spec.submodule_search_locations or ())
    yield from dict.fromkeys(str(Path(path).resolve().parent) for path in paths)
