"""Record what llama.cpp makes of the five families' checkpoints; PROVENANCE.md names the environment.

    PYTHONPATH=tests:LLAMA_CPP/gguf-py python -m golden.families.record [--shared SHARED] LLAMA_CPP WORK [CASE ...]

Writes records/CASE/FILE.jsonl: SOURCE is the converter's own file, the others are what the quantizer makes of it. Cases
with a real tokenizer are recorded where SHARED is given. digests/CASE.sha256 has the digest of the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import runpy
import sys
from pathlib import Path

import llama_cpp
import numpy as np
import torch
from golden.families.case import Case, arrays, build, digest
from golden.families.checkpoints import CASES
from golden.families.compact import dump, summarize

RECORDS = Path(__file__).resolve().parent / "records"
DIGESTS = Path(__file__).resolve().parent / "digests"

#: llama.cpp's file types (`enum llama_ftype`).
FILE_TYPES = {
    "F32": llama_cpp.LLAMA_FTYPE_ALL_F32,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "BF16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "IQ4_XS": llama_cpp.LLAMA_FTYPE_MOSTLY_IQ4_XS,
    "MXFP4_MOE": llama_cpp.LLAMA_FTYPE_MOSTLY_MXFP4_MOE,
}


def load_reference(llama_cpp_folder: Path) -> None:
    """Import the converter once, offline; the children that convert inherit it."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    sys.path[:0] = [str(llama_cpp_folder), str(llama_cpp_folder / "gguf-py")]
    torch.set_num_threads(1)
    import conversion

    conversion.load_all_models()


def convert(llama_cpp_folder: Path, case: Case, folder: Path, output: Path) -> str | None:
    """Run convert_hf_to_gguf.py in a child, whose changes to the converter's tables end with it.

    Returns the end of what it said if it failed, otherwise None.
    """
    log = output.with_suffix(".log")
    child = multiprocessing.get_context("fork").Process(
        target=_convert, args=(llama_cpp_folder, case, folder, output, log)
    )
    child.start()
    child.join()
    return log.read_text().strip()[-300:] if child.exitcode else None


def _convert(llama_cpp_folder: Path, case: Case, folder: Path, output: Path, log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if case.vocabulary.pre_tokenizer:
        from conversion.base import TextModel

        TextModel.get_vocab_base_pre = lambda *_: case.vocabulary.pre_tokenizer
    if case.raw_config:
        from conversion.base import ModelBase

        ModelBase.load_hparams = staticmethod(lambda folder, *_, **__: json.loads((folder / "config.json").read_text()))
    if case.adds_bos:
        from transformers import TokenizersBackend

        TokenizersBackend.add_bos_token = True
    os.chdir(llama_cpp_folder)
    sys.argv = [
        "convert_hf_to_gguf.py",
        str(folder),
        "--outtype",
        case.outtype,
        "--outfile",
        str(output),
        *case.options,
    ]
    runpy.run_path("convert_hf_to_gguf.py", run_name="__main__")


def quantize(source: Path, output: Path, file_type: int, *, requantize: bool) -> None:
    """Run what llama-quantize runs, with its defaults, on two threads."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = 2
    parameters.ftype = file_type
    parameters.allow_requantize = requantize
    status = llama_cpp.llama_model_quantize(bytes(source), bytes(output), parameters)
    if status != 0:
        raise RuntimeError(f"llama_model_quantize gave {status} on {source}")


def check_exponentials(case: Case) -> None:
    """Assert that torch rounds the exponential of each A_log as the correct result rounds."""
    for name, values in arrays(case).items():
        if name.endswith(".A_log"):
            computed = values if values.dtype == np.float16 else values.astype(np.float32)
            correct = np.exp(computed.astype(np.float64)).astype(computed.dtype)
            assert np.array_equal(torch.exp(torch.from_numpy(computed)).numpy(), correct), f"{case.name} {name}"


def make(llama_cpp_folder: Path, case: Case, folder: Path) -> None:
    """Convert and quantize one checkpoint, and write the records."""
    check_exponentials(case)
    source = folder.with_name(f"{case.name}.SOURCE.gguf")
    failure = convert(llama_cpp_folder, case, folder, source)
    if case.refusal:
        assert failure is not None, f"the reference reads {case.name}"
        assert case.refusal in failure, failure
        return
    assert failure is None, f"{case.name}: {failure}"
    (RECORDS / case.name).mkdir(parents=True, exist_ok=True)
    for name in case.formats:
        output = folder.with_name(f"{case.name}.{name}.gguf")
        if name != "SOURCE":
            quantize(source, output, FILE_TYPES[name], requantize=case.requantize)
        (RECORDS / case.name / f"{name}.jsonl").write_text(dump(summarize(output)))


def main() -> None:
    """Make the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_cpp", type=Path, help="llama.cpp's source, vendor/llama.cpp of the sdist")
    parser.add_argument("work", type=Path, help="scratch folder, empty; the GGUF files stay there")
    parser.add_argument("--shared", type=Path, help="the folder with tokenizers/")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    load_reference(args.llama_cpp.resolve())
    RECORDS.mkdir(exist_ok=True)
    tokenizers = args.shared / "tokenizers" if args.shared else None
    for name in args.cases or CASES:
        case = CASES[name]
        if case.vocabulary.shared and not tokenizers:
            continue
        parent = args.work.resolve() / name
        parent.mkdir()
        folder = build(case, parent, tokenizers)
        (DIGESTS / f"{name}.sha256").write_text(f"{digest(folder)}\n")
        make(args.llama_cpp.resolve(), case, folder)


if __name__ == "__main__":
    main()
