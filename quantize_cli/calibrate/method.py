"""One run of a method: blocks are chosen, and measured against those of the reference's search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from quantize_cli.architectures.folds import folds_of
from quantize_cli.calibrate.divergence import Scores, scores
from quantize_cli.calibrate.memory import within_memory
from quantize_cli.calibrate.planned import Planned
from quantize_cli.calibrate.rounding import Assignment, Rounding
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.subject import Model, documents_for, model_of, on_device, tokens_of
from quantize_cli.calibrate.weights import Original
from quantize_cli.calibrate.work import Work
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.evaluation.figures import TokenDivergences, divergence, paired
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.methods.chosen import Chosen
from quantize_cli.methods.needs import COMPARED_TOKENS
from quantize_cli.methods.outcome import Measured, Outcome
from quantize_cli.methods.table import COMPARED_TEXT, Method
from quantize_cli.observer import Observer
from quantize_cli.planning.model import Plan
from quantize_cli.sensitivity.model import Calibration
from quantize_cli.texts.model import Part, Sequences

#: Grows whenever the same inputs give other blocks, so that what an older version has left is not taken.
ENGINE = 1


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """What a method is to do."""

    method: Method
    checkpoint: Checkpoint  #: whose weights are here
    plan: Plan
    rival: Plan | None  #: of a format with an importance matrix, whose file has the same bytes
    calibration: Calibration
    importance: ImportanceMatrix | None  #: that the plans were made with
    device: str | None = None


def choose(request: Request, work: Work, threads: int, observer: Observer) -> tuple[Chosen, Outcome]:
    """Choose the blocks of a plan's tensors, and what is folded, and measure what that gave.

    Args:
        request: What to do.
        work: Keeps the blocks, and what is done, so that a stopped run goes on at its block.
        threads: Number of threads; they do not change the blocks.
        observer: Hears of the progress.

    Raises:
        QuantizeError: The model cannot be run, or something cannot be read or written.
    """
    started, settings = time.perf_counter(), settings_of(request.device, None)
    plans = [request.plan, request.plan, *([request.rival] if request.rival is not None else [])]
    before = torch.get_num_threads()
    with within_memory(settings), ThreadPoolExecutor(threads) as pool:
        model = model_of(request.checkpoint, settings)
        texts = compared(model, request.calibration.context)
        torch.set_num_threads(1)  # sequences are worked on side by side, each by one thread: so the sums are the same
        try:
            searched = [Planned(request.checkpoint, plan.tensors, request.importance, pool) for plan in plans[1:]]
            assignment = Assignment(
                request.checkpoint,
                model.skeleton,
                request.plan.tensors,
                request.calibration,
                request.importance,
                request.method,
                folds_of(request.plan.files[0].metadata, {held.name: held.shape for held in request.plan.tensors}),
                threads,
            )
            rounding = Rounding(assignment, work, pool, observer.stage)
            rounding.run()
        finally:
            torch.set_num_threads(before)
        chosen = rounding.result
        ours = Planned(
            request.checkpoint, request.plan.tensors, request.importance, pool, chosen.rounded, chosen.factors
        )
        found = scores(
            model.skeleton,
            Original(request.checkpoint),
            [ours, *searched],
            on_device(texts, settings),
            observer.stage,
        )
    titles = (
        request.method.name,
        "the same types by llama.cpp's search",
        *(f"{held.format} with imatrix" for held in plans[2:]),
    )
    measured = _measured(titles, plans, found)
    return chosen, Outcome(
        method=request.method.name,
        text=COMPARED_TEXT,
        ours=measured[0],
        others=tuple(measured[1:]),
        chosen=rounding.chosen,
        searched=rounding.searched,
        without=rounding.without,
        foldings=rounding.foldings,
        seconds=time.perf_counter() - started,
    )


def compared(model: Model, context: int) -> Sequences:
    """Return the sequences that files are compared on: at least one of each kind of text.

    Raises:
        QuantizeError: The texts are too short for this context, or the model's tokenizer cannot encode them.
    """
    documents = documents_for((), Part.REPORT)
    kinds = {document.kind for document in documents}
    return tokens_of(model, documents, context, max(COMPARED_TOKENS, len(kinds) * context))


def _measured(titles: Sequence[str], plans: Sequence[Plan], found: Sequence[Scores]) -> list[Measured]:
    tokens = [_of_tokens(held) for held in found]
    return [
        Measured(
            title,
            sum(tensor.nbytes for tensor in plan.tensors),
            divergence(held),
            None if held is tokens[0] else paired(tokens[0], held),
        )
        for title, plan, held in zip(titles, plans, tokens, strict=True)
    ]


def _of_tokens(found: Scores) -> TokenDivergences:
    return TokenDivergences(
        found.kld.ravel(),
        found.same_top.ravel(),
        found.nll.ravel(),
        found.original_nll.ravel(),
        np.zeros(found.kld.size, np.int64),
    )
