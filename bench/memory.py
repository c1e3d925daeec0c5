"""Peak resident memory of the whole command on a checkpoint of more than 4 GiB, bf16, f16 and f32 mixed.

    python bench/memory.py

The peak is the kernel's own count for the process, mapped pages of files included. Each run starts with an empty cache
of kernels, so that the compiler's memory counts too. Exits with 1 where a run takes more than the limit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _command import PRE_TOKENIZER, generate, quantize, work_folder
from _machine import head_line

LIMIT = 512 << 20
FORMATS = ("q8_0", "q4_k_m", "f16")
THREADS = (2, 8)
#: Size of the checkpoint -> bytes for it and an output.
ROOM = {"tiny": 20_000_000, "4gib": 9_000_000_000}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=ROOM, default="4gib", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (9 GB)")
    arguments = parser.parse_args()
    print(head_line())
    within = True
    with work_folder(arguments.work, ROOM[arguments.size]) as folder:
        checkpoint = generate(folder / "model", arguments.size)
        nbytes = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
        print(f"checkpoint of {nbytes:,} bytes, limit {LIMIT >> 20} MiB, empty kernel cache\n")
        print("| format | threads | peak MiB | limit MiB |       | seconds |")
        print("|--------|--------:|---------:|----------:|-------|--------:|")
        for name in FORMATS:
            for threads in THREADS:
                cache = folder / f"cache-{name}-{threads}"
                options = ("--threads", str(threads), *PRE_TOKENIZER)
                output = folder / "output.gguf"
                usage = quantize(checkpoint, name, output, *options, environment={"NUMBA_CACHE_DIR": str(cache)})
                within &= usage.peak_bytes <= LIMIT
                print(
                    f"| {name:6} | {threads:7} | {usage.peak_bytes / 2**20:8.1f} | {LIMIT >> 20:9} "
                    f"| {'ok' if usage.peak_bytes <= LIMIT else 'over':5} | {usage.seconds:7.1f} |",
                    flush=True,
                )
    sys.exit(not within)


if __name__ == "__main__":
    main()
