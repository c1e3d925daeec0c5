"""Record what the reference converter writes for every case: `PROVENANCE.md` says how to run it.

    make_references.py LLAMA_CPP SHARED [CASE ...]

LLAMA_CPP is the reference's source folder, whose converter runs in the Python that runs this.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from golden.record import record  # noqa: E402
from tokenizer_cases import CASES  # noqa: E402


def main(llama_cpp: Path, shared: Path, names: list[str]) -> None:
    for case in CASES:
        if names and case.name not in names:
            continue
        with tempfile.TemporaryDirectory() as parent:
            folder = case.make(Path(parent), shared / "tokenizers")
            output = Path(parent, "vocabulary.gguf")
            converter = [sys.executable, str(llama_cpp / "convert_hf_to_gguf.py"), str(folder), "--vocab-only"]
            subprocess.run([*converter, "--outfile", str(output)], check=True, stderr=subprocess.DEVNULL)
            kv = {key: value for key, value in record(output)["kv"].items() if key.startswith("tokenizer.")}
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in kv.items())
        (HERE / f"{case.name}.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
