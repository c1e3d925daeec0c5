"""Peak resident memory of the whole command on a checkpoint of more than 4 GiB, bf16, f16 and f32 mixed.

    python bench/memory.py

The peak is the kernel's own count for the process, mapped pages of files included. Each run starts with an empty cache
of kernels, so that the compiler's memory counts too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from _command import PRE_TOKENIZER, generate, quantize, work_folder
from _table import Row, show

LIMIT = 512 << 20
FORMATS = ("q8_0", "q4_k_m")
THREADS = (2, 8)
#: Size of the checkpoint -> bytes for it and an output.
ROOM = {"tiny": 20_000_000, "4gib": 9_000_000_000}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=ROOM, default="4gib", help="see generate_checkpoint.py")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (9 GB)")
    arguments = parser.parse_args()
    show(rows(arguments.size, arguments.work))


def rows(size: str = "4gib", work: Path | None = None) -> Iterator[Row]:
    """Yield a row for each format and number of threads."""
    with work_folder(work, ROOM[size]) as folder:
        checkpoint = generate(folder / "model", size)
        nbytes = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
        for name in FORMATS:
            for threads in THREADS:
                cache = folder / f"cache-{name}-{threads}"
                options = ("--threads", str(threads), *PRE_TOKENIZER)
                output = folder / "output.gguf"
                usage = quantize(checkpoint, name, output, *options, environment={"NUMBA_CACHE_DIR": str(cache)})
                yield Row(
                    what=f"memory, {name}, {threads} threads",
                    ours=f"{usage.peak_bytes / 2**20:.0f} MiB",
                    asked=f"<{LIMIT >> 20}",
                    kept=usage.peak_bytes <= LIMIT,
                    remark=f"checkpoint of {nbytes:,} bytes, {usage.seconds:.1f} s",
                )


if __name__ == "__main__":
    main()
