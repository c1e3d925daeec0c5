"""Record what llama.cpp's log tells of the memory of small models, and what their metadata is.

It adds the models of architectures that have no record yet; delete sizes.json to record all again.

    python tests/planning/golden/memory/record.py REFERENCE_PYTHON

REFERENCE_PYTHON is an interpreter with llama-cpp-python. The files are sparse: llama.cpp maps the weights and does not
look at them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parents[2]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from golden.families.case import build  # noqa: E402
from golden.families.checkpoints import CASES  # noqa: E402

from quantize_cli import plan  # noqa: E402
from quantize_cli.planning.model import Plan  # noqa: E402

CONTEXT = 2048
ARCHITECTURE = "general.architecture"

LOAD = f"""
import sys
from llama_cpp import Llama
sizes = dict(n_ctx={CONTEXT}, n_batch=512, n_ubatch=512)
Llama(sys.argv[1], **sizes, n_threads=1, flash_attn=True, swa_full=False, verbose=True)
"""

#: What is recorded -> lines of the log that tell sizes in MiB, which are added up.
LINES = {
    "kv_mib": re.compile(r"llama_kv_cache: +size = +([\d.]+) MiB"),
    "recurrent_mib": re.compile(r"llama_memory_recurrent: +size = +([\d.]+) MiB"),
    "compute_mib": re.compile(r"compute buffer size = +([\d.]+) MiB"),
    "output_mib": re.compile(r"output buffer size = +([\d.]+) MiB"),
}


def write_sparse(planned: Plan, path: Path) -> None:
    """Write the header, and holes for the weights."""
    (file,) = planned.files
    with path.open("wb") as out:
        out.write(file.header)
        out.truncate(file.file_bytes)


def log_of(python: str, path: Path) -> tuple[int, str]:
    """Load a file with the reference; return its exit code and its log."""
    done = subprocess.run([python, "-c", LOAD, str(path)], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stderr


def metadata_of(planned: Plan) -> list[list[Any]]:
    """All fields of the architecture, and the number of tokens in place of the vocabulary."""
    fields = {held.key: held for held in planned.files[0].metadata}
    kept = [
        [held.key, int(held.type), held.value if held.item_type is None else list(held.value), held.item_type]
        for key, held in fields.items()
        if key.startswith(f"{planned.architecture}.") or key == ARCHITECTURE
    ]
    return [*kept, ["tokens", None, len(fields["tokenizer.ggml.tokens"].value), None]]


def main(python: str) -> None:
    """Record every case of a new architecture that the reference loads."""
    path = HERE / "sizes.json"
    records: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known = {held[2] for record in records.values() for held in record["metadata"] if held[0] == ARCHITECTURE}
    with tempfile.TemporaryDirectory() as parent:
        for case in CASES.values():
            if case.refusal or case.vocabulary.shared or case.weights_of:
                continue
            folder = build(case, Path(parent))
            planned = plan(folder, "F16", pre_tokenizer=case.vocabulary.pre_tokenizer, allow_requantize=True)
            shutil.rmtree(folder)
            if planned.architecture in known:
                continue
            sparse = Path(parent) / "sparse.gguf"
            write_sparse(planned, sparse)
            code, log = log_of(python, sparse)
            sizes = {name: sum(map(float, pattern.findall(log))) for name, pattern in LINES.items()}
            print(case.name, planned.architecture, code, sizes, flush=True)  # noqa: T201
            if any(sizes.values()):
                records[case.name] = {**sizes, "metadata": metadata_of(planned)}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(record)}" for name, record in records.items())
    path.write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1])
