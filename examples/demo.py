"""Quantize the example model to five formats, show the reports, and generate text with one of the files.

    python examples/demo.py [OUT]

The files go to OUT, `out` by default. Generation needs the wheel `xllamacpp`; without it, the script tells how to get
it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

MODEL = Path(__file__).parent / "shakespeare-llama"
FORMATS = ("q8_0", "q4_k_m", "iq4_xs", "q3_k_m", "q2_k")
PROMPT = "ROMEO:\n"

GENERATE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.prompt = sys.argv[1:3]
params.n_predict, params.n_ctx, params.sampling.seed, params.sampling.temp = 100, 256, 1, 0.7
params.warmup = False
server = xllamacpp.Server(params)
answer = server.handle_completions({"prompt": sys.argv[2], "max_tokens": 100, "temperature": 0.7, "seed": 1})
print(answer["choices"][0]["text"])
"""


def main() -> None:
    """Run the demonstration."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
    out.mkdir(parents=True, exist_ok=True)
    quantize = Path(sys.executable).with_name("quantize")
    for name in FORMATS:
        file = out / f"shakespeare-llama-{name}"
        outputs = ["--output", f"{file}.gguf", "--report", f"{file}.json"]
        command = ["quantize", str(MODEL), "--format", name, *outputs, "--force"]
        print(f"\n$ {' '.join(command)}", flush=True)
        subprocess.run(command, executable=quantize, check=True)
    speak(out / "shakespeare-llama-q4_k_m.gguf")


def speak(model: Path) -> None:
    """Load `model` in llama.cpp and print what it writes."""
    if find_spec("xllamacpp") is None:
        print(f"\nTo load {model} in llama.cpp, run `pip install xllamacpp`, and then this again.")
        return
    print(f"\nllama.cpp writes with {model}:\n")
    answer = subprocess.run(
        [sys.executable, "-c", GENERATE, model, PROMPT], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    print(PROMPT + answer.stdout.decode().rstrip())


if __name__ == "__main__":
    main()
