"""`quantize eval`: how far the predictions of GGUF files are from those of their original."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from quantize_cli.calibrate.divergence import Scores, scores
from quantize_cli.calibrate.memory import within_memory
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.subject import documents_for, on_device, opened_model, shared_words, tokens_of
from quantize_cli.calibrate.weights import Original, Quantized
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.evaluation.figures import TokenDivergences, by_kind, divergence, paired
from quantize_cli.evaluation.model import SCHEMA_VERSION, Evaluation, FileEvaluation
from quantize_cli.mixes.tables import FORMATS
from quantize_cli.observer import Observer
from quantize_cli.texts.model import Part, Sequences
from quantize_cli.version import __version__


def evaluate(
    files: Sequence[str | Path],
    against: str | Path,
    *,
    texts: Sequence[str | Path] = (),
    context: int = 512,
    tokens: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    observer: Observer | None = None,
) -> Evaluation:
    """Compare GGUF files with the model that they were made of, on the same tokens.

    Args:
        files: The files, each a whole model or one of its parts.
        against: The original, a folder, a `.safetensors` file or a Hub id.
        texts: UTF-8 files; none means part C of our own texts.
        context: Tokens of a sequence; the second half of each is scored.
        tokens: The most tokens; None means all.
        device: torch's name of a device; None is the CPU.
        dtype: "f32" or "bf16"; None is float32.
        revision: A branch, tag or commit of `against` on the Hub.
        observer: Hears of the progress.

    Raises:
        QuantizeError: Something cannot be read, or does not fit together.
    """
    started, observer = time.perf_counter(), observer or Observer()
    settings = settings_of(device, dtype)
    documents = documents_for(texts, Part.REPORT)
    with (
        within_memory(settings),
        opened_model(against, revision, settings, observer) as model,
        ExitStack() as closed,
    ):
        checkpoint = model.checkpoint
        opened = [closed.enter_context(closing(GgufCheckpoint(Path(file), observer))) for file in files]
        quantized = [Quantized(file, checkpoint, model.plan.tensors) for file in opened]
        found = tokens_of(model, documents, context, tokens)
        calibrated = documents_for((), Part.CALIBRATE)
        observer.noted(shared_words(calibrated, documents, "these texts stand in those of `quantize calibrate`"))
        compared = scores(
            model.skeleton,
            Original(checkpoint),
            quantized,
            on_device(found, settings),
            observer.stage,
        )
    divergences = [_of_tokens(of_file, found) for of_file in compared]
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        generator=f"quantize-cli {__version__}",
        original=str(against),
        original_bytes=sum(info.nbytes for info in checkpoint.infos.values()),
        architecture=model.plan.architecture,
        context=context,
        device=str(settings.device),
        dtype=settings.dtype_name,
        texts=found.records,
        files=tuple(
            _evaluated(file, measured, of_tokens, divergences[0], found)
            for file, measured, of_tokens in zip(files, opened, divergences, strict=True)
        ),
        seconds=time.perf_counter() - started,
    )


def _of_tokens(found: Scores, texts: Sequences) -> TokenDivergences:
    names = _kinds(texts)
    kinds = np.array([names.index(kind) for kind in texts.kinds], np.int64)
    return TokenDivergences(
        found.kld.ravel(),
        found.same_top.ravel(),
        found.nll.ravel(),
        found.original_nll.ravel(),
        np.repeat(kinds, found.kld.shape[1]),
    )


def _evaluated(
    name: str | Path, file: GgufCheckpoint, found: TokenDivergences, first: TokenDivergences, texts: Sequences
) -> FileEvaluation:
    weights = sum(info.elements for info in file.infos.values())
    return FileEvaluation(
        file=str(name),
        format=_format(file),
        bytes=sum(held.nbytes for held in file.source_files),
        bits_per_weight=8 * sum(info.nbytes for info in file.infos.values()) / weights,
        all=divergence(found),
        by_kind=by_kind(found, _kinds(texts)),
        from_first=None if found is first else paired(found, first),
    )


def _kinds(texts: Sequences) -> list[str]:
    return [record.kind for record in texts.records]


def _format(file: GgufCheckpoint) -> str | None:
    stated = next((field.value for field in file.metadata if field.key == "general.file_type"), None)
    return next((name for name, mix in FORMATS.items() if mix.file_type == stated), None)
