"""Record the tokens that llama.cpp makes of a text; PROVENANCE.md names the environment.

    python tests/texts/golden/record.py GGUF_FOLDER

GGUF_FOLDER has CASE.gguf for each case. Writes CASE.json beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import llama_cpp

HERE = Path(__file__).parent
CONTEXT = 64


def main() -> None:
    text = (HERE / "text.txt").read_bytes().removesuffix(b"\n")  # as `-f` reads it
    for gguf in sorted(Path(sys.argv[1]).glob("*.gguf")):
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        model = llama_cpp.llama_model_load_from_file(str(gguf).encode(), parameters)
        vocab = llama_cpp.llama_model_get_vocab(model)
        ids = (llama_cpp.llama_token * (len(text) + 8))()
        count = llama_cpp.llama_tokenize(vocab, text, len(text), ids, len(ids), True, False)
        bos = llama_cpp.llama_vocab_bos(vocab) if llama_cpp.llama_vocab_get_add_bos(vocab) else None
        rows = [list(ids[start : start + CONTEXT]) for start in range(0, count - CONTEXT + 1, CONTEXT)]
        for row in rows if bos is not None else ():
            row[0] = bos
        (HERE / f"{gguf.stem}.json").write_text(json.dumps({"bos": bos, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
