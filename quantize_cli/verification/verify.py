"""The whole check: all parts of a file by themselves, and then against a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from quantize_cli.checkpoints.gguf import GgufCheckpoint, parts_of
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import CheckpointError, QuantizeError, UsageError
from quantize_cli.gguf_file.types import WRITABLE_TYPES
from quantize_cli.keywords import PlanKeywords, plan_options
from quantize_cli.observer import Observer
from quantize_cli.planning.planner import make_plan
from quantize_cli.planning.type_list import type_entries
from quantize_cli.verification.chosen import chosen_tensors, note_on_chosen
from quantize_cli.verification.file import check_file
from quantize_cli.verification.headers import compare_headers
from quantize_cli.verification.model import SCHEMA_VERSION, CheckedFile, Compared, Findings, Verification
from quantize_cli.verification.options import Told


@dataclass(frozen=True, slots=True)
class Model:
    """The model to compare with, and how the file was made of it."""

    model: str | Path
    format: str | None  #: None takes what the file states
    options: PlanKeywords
    sample: int | None  #: number of slabs of each tensor; None compares everything
    threads: int | None
    stream: bool  #: read a model's weights from the Hub when they are needed; nothing is downloaded


def verified(path: Path, against: Model | None, observer: Observer) -> Verification:
    """Check the file, or all parts of which `path` is one, and compare with `against`.

    Raises:
        CheckpointError: `path` does not exist or cannot be read, or the model is missing or damaged.
        UnsupportedError: The model cannot be converted.
        UsageError: An option is wrong, or the file does not tell enough to derive it again.
    """
    if against is not None and against.sample is not None and against.sample < 1:
        raise UsageError(f"--sample takes a number of pieces from 1 on, not {against.sample}.")
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; check the path.")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the path of a GGUF file in it.")
    findings, notes = Findings(), list[str]()
    files = []
    for part in parts_of(path):
        if not part.exists():
            findings.add("container", str(part), f"{part} is missing; download it, or the whole model, again.")
        elif (checked := check_file(part, findings)) is not None:
            files.append(checked)
    _check_digests(files, findings)
    if files and not any(file.digests for file in files):
        notes.append(f"{path} does not hold digests; only a comparison with its model notices every change.")
    whole = None if any(finding.kind == "container" for finding in findings.kept) else _whole(path, findings)
    compared = None if against is None or whole is None else _compared(whole, against, observer, findings, notes)
    return Verification(
        schema_version=SCHEMA_VERSION,
        path=str(path),
        files=tuple(files),
        compared=compared,
        findings=tuple(findings.kept),
        further_findings=findings.further,
        notes=tuple(notes),
    )


def _check_digests(files: Sequence[CheckedFile], findings: Findings) -> None:
    """Add parts that have lost their digests: only the first promises them in its metadata."""
    known = {finding.file for finding in findings.kept if finding.kind == "digest"}
    for file in files:
        if not file.digests and file.path not in known and any(other.digests for other in files):
            findings.add(
                "digest",
                file.path,
                f"{file.path} has lost the digests that the other parts hold: it is cut off, or another program has "
                "written it anew; download or quantize it again.",
            )


def _whole(path: Path, findings: Findings) -> GgufCheckpoint | None:
    """Open the parts as one model, which they must be."""
    try:
        return GgufCheckpoint(path)
    except QuantizeError as error:
        findings.add("container", str(path), str(error))
        return None


def _types_of(file: GgufCheckpoint) -> list[tuple[str, str]]:
    architecture = next((str(held.value) for held in file.metadata if held.key == "general.architecture"), "")
    held = {name: (info.shape, info.dtype) for name, info in file.infos.items() if info.dtype in WRITABLE_TYPES}
    return type_entries(held, architecture)


def _compared(
    file: GgufCheckpoint, against: Model, observer: Observer, findings: Findings, notes: list[str]
) -> Compared:
    told = Told(file.metadata, file.location, _types_of(file))
    mix = told.format(against.format)
    keywords = told.keywords(against.options)
    options = plan_options(keywords)
    if sentence := told.other_matrix(options.importance):
        notes.append(sentence)
    revision = keywords.get("revision") or told.revision(against.model)
    with closing(open_checkpoint(against.model, revision, observer, stream=against.stream)) as source:
        if isinstance(source, GgufCheckpoint) and source.path.samefile(file.path):
            raise UsageError(f"{against.model} is the file itself; give the model that it was made from.")
        plan = make_plan(source, mix, keywords.get("pre_tokenizer"), options)
        names = compare_headers(file, plan, findings, notes)
        chosen = chosen_tensors(file) & names
        if chosen:
            notes.append(note_on_chosen(file, chosen))
        names -= chosen
        source.fetch(observer)
        # Numba is slow to import, and neither planning nor a refusal needs it.
        from quantize_cli.run.bounds import available_threads
        from quantize_cli.run.compiling import prepare
        from quantize_cli.run.kernels import kernels_of_plans
        from quantize_cli.verification.tensors import compare_tensors

        prepare(kernels_of_plans([plan]), observer)
        return compare_tensors(
            file,
            source,
            plan,
            names,
            options.importance,
            sample=against.sample,
            threads=against.threads or available_threads(),
            observer=observer,
            findings=findings,
        )
