"""Make the references of whole files: the converter of llama.cpp, then its quantizer; PROVENANCE.md says how.

    PYTHONPATH=LLAMA_CPP/gguf-py python tests/golden/make_references.py LLAMA_CPP SHARED WORK [CHECKPOINT ...]

Writes tests/golden/CHECKPOINT/FORMAT.json for each of the checkpoints named (all of them where none is).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
from record import dumps, record  # type: ignore[import-not-found]
from small_checkpoints import (  # type: ignore[import-not-found]
    EXAMPLE,
    FAMILIES,
    SMOLLM2,
    TOKENIZERS,
    SmallCheckpoint,
    build,
    build_smollm2,
)

GOLDEN = Path(__file__).resolve().parent

#: llama.cpp's file types (`enum llama_ftype`).
FILE_TYPES = {
    "f32": llama_cpp.LLAMA_FTYPE_ALL_F32,
    "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "bf16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16,
    "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
    "q2_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K,
    "q3_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q3_K_M,
    "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "iq4_xs": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
}

#: Runs the converter with a pre-tokenizer chosen by hand: its own table knows published vocabularies only.
CONVERT_WITH_PRE = """
import runpy, sys
from conversion.base import TextModel
pre = sys.argv.pop(1)
TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
runpy.run_path("convert_hf_to_gguf.py", run_name="__main__")
"""


@dataclass(frozen=True)
class Job:
    """One checkpoint to convert, and what to make of it."""

    golden: str  #: the folder under tests/golden
    folder: Path
    outtype: str
    pre_tokenizer: str | None
    formats: tuple[str, ...]


def convert(llama_cpp_folder: Path, job: Job, output: Path) -> None:
    """Run the reference converter on the job's checkpoint."""
    script = ["-c", CONVERT_WITH_PRE, job.pre_tokenizer] if job.pre_tokenizer else ["convert_hf_to_gguf.py"]
    command = [sys.executable, *script, str(job.folder), "--outtype", job.outtype, "--outfile", str(output)]
    paths = os.pathsep.join((str(llama_cpp_folder), str(llama_cpp_folder / "gguf-py")))
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run(command, cwd=llama_cpp_folder, env=environment, check=True)


def quantize(source: Path, output: Path, file_type: int) -> None:
    """Run what llama-quantize runs, with its defaults, on two threads."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = 2
    parameters.ftype = file_type
    status = llama_cpp.llama_model_quantize(bytes(source), bytes(output), parameters)
    if status != 0:
        raise RuntimeError(f"llama_model_quantize gave {status} on {source}")


def small_job(checkpoint: SmallCheckpoint, formats: tuple[str, ...], work: Path, tokenizers: Path | None) -> Job:
    """The job of one of the small random checkpoints."""
    folder = build(checkpoint, work, tokenizers)
    return Job(checkpoint.name, folder, checkpoint.outtype, checkpoint.pre_tokenizer, formats)


def smollm2_job(golden: str, formats: tuple[str, ...], shared: Path, work: Path) -> Job:
    """The job of SmolLM2-135M-Instruct in one dtype, sharded or not."""
    folder = build_smollm2(golden, work, shared)
    return Job(golden, folder, SMOLLM2[golden][1], None, formats)


def jobs(shared: Path, work: Path, wanted: set[str]) -> Iterator[Job]:
    """Build and describe every checkpoint, or those wanted."""
    every = tuple(FILE_TYPES)
    for checkpoint in FAMILIES:
        if not wanted or checkpoint.name in wanted:
            yield small_job(checkpoint, every, work, None)
    for checkpoint in TOKENIZERS:
        if not wanted or checkpoint.name in wanted:
            yield small_job(checkpoint, ("q4_k_m",), work, shared / "tokenizers")
    for golden in SMOLLM2:
        if not wanted or golden in wanted:
            yield smollm2_job(golden, ("q4_k_m",) if "shards" in golden else every, shared, work)
    if not wanted or EXAMPLE.name in wanted:
        yield Job(EXAMPLE.name, EXAMPLE, "bf16", "gpt-2", every)


def main() -> None:
    """Make the references."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=Path, help="llama.cpp's source, vendor/llama.cpp of the sdist")
    parser.add_argument("shared", type=Path, help="the folder with tokenizers/ and tools/smollm2_checkpoint.py")
    parser.add_argument("work", type=Path, help="scratch folder, empty")
    parser.add_argument("checkpoints", nargs="*")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for job in jobs(args.shared.resolve(), args.work.resolve(), set(args.checkpoints)):
        lossless = args.work.resolve() / f"{job.golden}.gguf"
        convert(args.llama_cpp.resolve(), job, lossless)
        folder = GOLDEN / job.golden
        folder.mkdir(exist_ok=True)
        for name in job.formats:
            output = lossless.with_suffix(f".{name}.gguf")
            quantize(lossless, output, FILE_TYPES[name])
            (folder / f"{name}.json").write_text(dumps(record(output)))
            output.unlink()


if __name__ == "__main__":
    main()
