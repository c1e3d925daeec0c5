"""Run the reference's convert_hf_to_gguf.py on a generated checkpoint, whose tokenizer it does not know.

    python bench/reference_converter.py CONVERTER MODEL OUT.gguf

CONVERTER is the script in a checkout of llama.cpp, beside which its package `conversion` lies. The pre-tokenizer is the
one that the benchmarks name for `quantize`; everything else is the reference's. Nothing of this project is needed here.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Convert one checkpoint to bf16."""
    converter, model, output = sys.argv[1:]
    folder = Path(converter).absolute().parent
    sys.path[:0] = [str(folder), str(folder / "gguf-py")]
    from conversion import TextModel  # where it lies is known only now

    TextModel.get_vocab_base_pre = lambda _self, _tokenizer: "gpt-2"
    sys.argv = [converter, model, "--outfile", output, "--outtype", "bf16"]
    runpy.run_path(converter, run_name="__main__")


if __name__ == "__main__":
    main()
