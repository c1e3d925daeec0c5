"""Peak resident memory of the whole command on models much larger than it.

    python bench/memory.py

A Llama of more than 4 GiB, bf16, f16 and f32 mixed; a mixture of 64 experts of more than 8 GiB; one whose experts are
stored transposed. The peak is the kernel's own count for the process, mapped pages of files included. Each run starts
with an empty cache of kernels, so that the compiler's memory counts too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import _table
from _command import PRE_TOKENIZER, QUANTIZE, TRANSPOSED_EXPERTS, Program, generate, quantize, work_folder
from _table import Row, show

FORMATS = ("q8_0", "q4_k_m")
FEW_THREADS = (2, 16)
THREADS = (1, 2, 8, 16)


@dataclass(frozen=True, slots=True)
class Model:
    """What is asked of a size of generate_checkpoint.py."""

    limit: int  #: MiB
    room: int  #: bytes for it and an output
    program: Program = QUANTIZE
    threads: tuple[int, ...] = FEW_THREADS


MODELS = {
    "4gib": Model(512, 9_000_000_000, threads=THREADS),
    "moe-8gib": Model(600, 14_000_000_000),
    "moe-8gib-transposed": Model(600, 14_000_000_000, TRANSPOSED_EXPERTS),
    "tiny": Model(512, 20_000_000, threads=THREADS),
    "moe-tiny": Model(600, 20_000_000),
    "moe-tiny-transposed": Model(600, 20_000_000, TRANSPOSED_EXPERTS),
}
LARGE = ("4gib", "moe-8gib", "moe-8gib-transposed")


def main() -> None:
    """Print the table."""
    parser = _table.parser(__doc__)
    parser.add_argument("--size", choices=MODELS, help="see generate_checkpoint.py; default: all that are not tiny")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the files go for the time being (14 GB)")
    arguments = parser.parse_args()
    show(rows((arguments.size,) if arguments.size else LARGE, arguments.work), arguments)


def rows(sizes: Sequence[str] = LARGE, work: Path | None = None) -> Iterator[Row]:
    """Yield a row for each size, format and number of threads."""
    for size in sizes:
        with work_folder(work, MODELS[size].room) as folder:
            yield from _rows(size, folder)


def _rows(size: str, folder: Path) -> Iterator[Row]:
    model = MODELS[size]
    checkpoint = generate(folder / "model", size)
    nbytes = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
    for name in FORMATS:
        for threads in model.threads:
            usage = quantize(
                checkpoint,
                name,
                folder / "output.gguf",
                "--threads",
                str(threads),
                *PRE_TOKENIZER,
                environment={"NUMBA_CACHE_DIR": str(folder / f"cache-{name}-{threads}")},
                program=model.program,
            )
            yield Row(
                what=f"memory, {name}, {threads} threads",
                ours=f"{usage.peak_bytes / 2**20:.0f} MiB",
                asked=f"<{model.limit}",
                kept=usage.peak_bytes <= model.limit << 20,
                remark=f"{size}, {nbytes:,} bytes, {usage.seconds:.1f} s",
            )


if __name__ == "__main__":
    main()
