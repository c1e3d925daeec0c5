"""The process that tries inputs: `python -m fuzz.worker SCRATCH`, which a damaged input may end.

It gets ready once, and forks a child that tries one input after the other, until one ends it; then the next child.
Standard input has a line for each input, "NUMBER KIND"; standard output has a verdict for each as a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from dataclasses import asdict
from itertools import count
from pathlib import Path

from oracle import ggml

from fuzz import loading
from fuzz.forked import fork_tokenizers
from fuzz.targets import RANDOM, damaged
from fuzz.verdict import NOT_LOADED, Judge, Verdict

CPU_SECONDS = 10
WALL_SECONDS = 100  #: other programs may hold the processors
MEMORY_BYTES = 512 << 20  #: address space

_ENDINGS: dict[int, str] = {
    signal.SIGPROF: f"takes more than {CPU_SECONDS} s",
    signal.SIGALRM: f"hangs for {WALL_SECONDS} s",
}


def main() -> None:
    """Keep a child answering until nobody asks any more."""
    scratch = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    if ggml.INSTALLED:
        loading.prepare()
    fork_tokenizers()
    warm = scratch / "warm"
    warm.mkdir()
    judge = Judge(warm)
    for kind in RANDOM:
        judge.convert(kind, damaged(kind, 0))
    asked = scratch / "asked"
    for number in count():
        own = scratch / str(number)
        own.mkdir()
        last_words = own / "stderr"
        child = os.fork()
        if child == 0:
            os.dup2(os.open(last_words, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2)
            _serve(own, asked, answers)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        ending = _ending(status, last_words.read_bytes()[-300:], while_loading=(own / "loading").exists())
        shutil.rmtree(own)
        if status == 0:
            return
        case, _, kind = asked.read_text().partition(" ")
        _answer(answers, Verdict(kind, int(case), "fault", ending))


def _serve(scratch: Path, asked: Path, answers: int) -> None:
    """Try the inputs that are asked for."""
    judge = Judge(scratch)
    _limit_memory()
    with open(0, "rb", buffering=0, closefd=False) as questions:
        while question := questions.readline().decode().strip():
            asked.write_text(question)
            os.ftruncate(2, 0)
            number, _, kind = question.partition(" ")
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
            verdict = judge.judge(kind, int(number))
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _answer(answers, verdict)


def _limit_memory() -> None:
    """Let the address space grow by `MEMORY_BYTES` at most, where the system tells its size."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _answer(answers: int, verdict: Verdict) -> None:
    os.write(answers, json.dumps(asdict(verdict)).encode() + b"\n")


def _ending(status: int, last_words: bytes, *, while_loading: bool) -> str:
    code = os.waitstatus_to_exitcode(status)
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    ending = _ENDINGS.get(-code, f"ends the process with {how} ({last_words!r})")
    return f"{NOT_LOADED}: it {ending}" if while_loading else ending


if __name__ == "__main__":
    main()
