"""The measurement of one model: calibrate it, make all files and methods, and compare them in one pass."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Unpack

import numpy as np
import torch
from _literature import Rounded, largest_inputs
from _results import SCHEMA_VERSION, Compared, Pair, Quality
from _setting import setting
from _subjects import Subject

from quantize_cli import __version__, quantize
from quantize_cli.calibrate.calibrate import DEFAULT_TOKENS, calibrate
from quantize_cli.calibrate.divergence import Scores, scores
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.subject import Model, documents_for, on_device, opened_model, tokens_of
from quantize_cli.calibrate.weights import Original, Quantized, Weights
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.evaluation.figures import TokenDivergences, by_kind, divergence, paired
from quantize_cli.evaluation.model import SCHEMA_VERSION as EVALUATION_VERSION
from quantize_cli.evaluation.model import Evaluation, FileEvaluation
from quantize_cli.keywords import Keywords
from quantize_cli.literature.table import METHODS
from quantize_cli.observer import Observer
from quantize_cli.sensitivity.check import identity_of
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.sensitivity.read import read_calibration
from quantize_cli.texts.model import Document, Part, Sequences
from quantize_cli.texts.overlap import overlap

FORMATS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "Q2_K")
#: The mixes whose bytes a budget gets.
LIKE = ("Q4_K_M", "Q3_K_M", "Q2_K")
#: What is compared: types chosen by a calibration, the same rounded by a method, and the latter with the next mix.
PAIRS = (
    *((f"{like} with imatrix", f"budget of {like}{rounded}") for rounded in ("", ", gptq") for like in LIKE),
    ("Q4_K_M with imatrix", "budget of Q3_K_M, gptq"),
)
_CALIBRATION = "calibration.gguf"
#: Tokens by which LLM.int8() finds its outlier columns.
_TOKENS_OF_INPUTS = 8192


class Candidate(Weights, Protocol):
    """Weights whose size is known once they have been read."""

    def nbytes(self, checkpoint: Checkpoint) -> int:
        """Return what all weights take, without metadata."""
        ...


class Stored(Quantized):
    """The weights of a GGUF file that was made of a model."""

    def __init__(self, path: Path, model: Model) -> None:
        self._infos_of_file = (file := GgufCheckpoint(path)).infos
        super().__init__(file, model.checkpoint, model.plan.tensors)

    def nbytes(self, _checkpoint: Checkpoint) -> int:
        """Return what all tensors take."""
        return sum(info.nbytes for info in self._infos_of_file.values())


def measure(subject: Subject, work: Path, device: str, observer: Observer) -> Quality:
    """Measure a model; the files that are made stay in `work`.

    Raises:
        QuantizeError: A text cannot be used, or something cannot be written.
    """
    started, settings = time.perf_counter(), settings_of(device, None)
    documents = documents_for(subject.calibration, Part.CALIBRATE)
    with opened_model(subject.folder, None, settings, observer) as model:
        texts = [tokens_of(model, text.documents, subject.context, text.tokens) for text in subject.texts]
        earlier = _earlier(work / _CALIBRATION, model, documents, subject)
        calibration = earlier or calibrate(
            subject.folder,
            work / _CALIBRATION,
            texts=subject.calibration,
            context=subject.context,
            tokens=subject.calibration_tokens,
            device=device,
            observer=observer,
            force=True,
        )
        files = _files(subject.folder, work / _CALIBRATION, work, observer)
        candidates: dict[str, Candidate] = {label: Stored(path, model) for label, path in files.items()}
        candidates |= _methods(model, tokens_of(model, documents, subject.context, _TOKENS_OF_INPUTS), observer)
        begun = time.perf_counter()
        compared = scores(
            model.skeleton,
            Original(model.checkpoint),
            list(candidates.values()),
            torch.cat([on_device(text, settings) for text in texts]),
            observer.stage,
        )
        sizes = [candidate.nbytes(model.checkpoint) for candidate in candidates.values()]
    tokens = {label: _by_text(held, texts) for label, held in zip(candidates, compared, strict=True)}
    evaluation = _evaluation(subject, model, texts, sizes, tokens, time.perf_counter() - begun)
    return Quality(
        schema_version=SCHEMA_VERSION,
        setting=setting(),
        model=subject.name,
        weights_sha256=_sha256(subject.folder / "model.safetensors"),
        calibration=calibration.texts,
        reused=earlier is not None,
        overlaps=tuple((text.title, overlap(documents, text.documents)) for text in subject.texts),
        evaluation=evaluation,
        others=tuple(divergence(held[1]) if len(held) > 1 else None for held in tokens.values()),
        pairs=tuple(_pair(theirs, ours, subject, files, tokens) for theirs, ours in PAIRS),
        seconds=time.perf_counter() - started,
    )


def _earlier(file: Path, model: Model, documents: Sequence[Document], subject: Subject) -> Calibration | None:
    """Return what an earlier run has measured of the same model on the same tokens of files, if there is one."""
    if not (subject.calibration and file.exists()):
        return None
    texts = tokens_of(model, documents, subject.context, subject.calibration_tokens or DEFAULT_TOKENS)
    held = read_calibration(file)
    same = [text.sha256 for text in held.texts] == [text.sha256 for text in texts.records]
    return held if same and held.model == identity_of(model.checkpoint) else None


def _files(model: Path, calibration: Path, work: Path, observer: Observer) -> dict[str, Path]:
    """Make llama.cpp's formats, its mixes with an importance matrix, and our files at the bytes of each mix."""
    made: dict[str, Path] = {}

    def make(label: str, format_: str | None, **options: Unpack[Keywords]) -> None:
        observer.stage("quantizing", len(made), len(FORMATS) + 3 * len(LIKE))
        path = made[label] = work / f"{label}.gguf"
        options |= Keywords(no_provenance=True, force=True)
        if format_ is None:
            quantize(model, (), path, **options)
        else:
            quantize(model, format_, path, **options)

    for format_ in FORMATS:
        make(format_, format_)
    for like in LIKE:
        make(f"{like} with imatrix", like, imatrix=calibration)
        make(f"budget of {like}", None, like=like, calibration=calibration)
        make(f"budget of {like}, gptq", None, like=like, calibration=calibration, method="gptq")
    return made


def _methods(model: Model, texts: Sequences, observer: Observer) -> dict[str, Candidate]:
    """Let the methods of the literature round the matrices of the blocks; inputs are those of the texts."""
    original = Original(model.checkpoint)
    inputs = largest_inputs(model.skeleton, original, on_device(texts, model.skeleton.settings), observer)
    return {method.title: Rounded(original, method, inputs) for method in METHODS.values()}


def _by_text(found: Scores, texts: Sequence[Sequences]) -> list[TokenDivergences]:
    """Return the tokens of each text; kinds are counted over all texts."""
    names = _kinds(texts)
    ends = np.cumsum([len(text.kinds) for text in texts])
    return [
        TokenDivergences(
            found.kld[rows].ravel(),
            found.same_top[rows].ravel(),
            found.nll[rows].ravel(),
            found.original_nll[rows].ravel(),
            np.repeat(np.array([names.index(kind) for kind in text.kinds], np.int64), found.kld.shape[1]),
        )
        for text, end in zip(texts, ends, strict=True)
        for rows in [slice(end - len(text.kinds), end)]
    ]


def _kinds(texts: Sequence[Sequences]) -> list[str]:
    return [record.kind for text in texts for record in text.records]


def _evaluation(
    subject: Subject,
    model: Model,
    texts: Sequence[Sequences],
    sizes: Sequence[int],
    tokens: Mapping[str, Sequence[TokenDivergences]],
    seconds: float,
) -> Evaluation:
    infos = model.checkpoint.infos.values()
    weights = sum(info.elements for info in infos)
    return Evaluation(
        schema_version=EVALUATION_VERSION,
        generator=f"quantize-cli {__version__}",
        original=subject.name,
        original_bytes=sum(info.nbytes for info in infos),
        architecture=model.plan.architecture,
        context=subject.context,
        device=str(model.skeleton.settings.device),
        dtype=model.skeleton.settings.dtype_name,
        texts=tuple(record for text in texts for record in text.records),
        files=tuple(
            FileEvaluation(
                file=label,
                format=label,
                bytes=nbytes,
                bits_per_weight=8 * nbytes / weights,
                all=divergence(of_texts[0]),
                by_kind=tuple(held for of_text in of_texts for held in by_kind(of_text, _kinds(texts))),
            )
            for (label, of_texts), nbytes in zip(tokens.items(), sizes, strict=True)
        ),
        seconds=seconds,
    )


def _pair(
    theirs: str,
    ours: str,
    subject: Subject,
    files: Mapping[str, Path],
    tokens: Mapping[str, Sequence[TokenDivergences]],
) -> Pair:
    return Pair(
        theirs=theirs,
        ours=ours,
        their_bytes=files[theirs].stat().st_size,
        our_bytes=files[ours].stat().st_size,
        texts=tuple(
            Compared(text.title, divergence(one), divergence(other), paired(other, one))
            for text, one, other in zip(subject.texts, tokens[theirs], tokens[ours], strict=True)
        ),
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
