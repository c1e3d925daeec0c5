"""Rounding layer by layer: each block's matrices are rounded for what the rounded blocks before it hand on."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.architectures.folds import Fold
from quantize_cli.calibrate.backwards import Meaning
from quantize_cli.calibrate.choosing import Chooser, Errors, Evidence
from quantize_cli.calibrate.curving import both_sides, shrunk
from quantize_cli.calibrate.fold_choice import chosen_factors
from quantize_cli.calibrate.folding import TOLERANCE, Folded
from quantize_cli.calibrate.forward import batches, outside
from quantize_cli.calibrate.hessians import MOST_WEIGHT, Collector, Key, Summed, in_order, stages_of
from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.planned import Planned
from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.states import States
from quantize_cli.calibrate.weights import Original
from quantize_cli.calibrate.work import Work
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.methods.chosen import Chosen
from quantize_cli.methods.factors import Factors
from quantize_cli.methods.needs import hessians_at_once
from quantize_cli.methods.rounded import Rounded
from quantize_cli.methods.table import ROUNDED_TYPES, Method
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.sensitivity.model import Calibration

Rows = NDArray[np.float32]
#: Called with what is being done, how much of it is done, and how much there is.
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Assignment:
    """What is to be rounded, and by what."""

    checkpoint: Checkpoint
    skeleton: Skeleton
    tensors: Sequence[PlannedTensor]  #: of the file that is planned
    calibration: Calibration
    importance: ImportanceMatrix | None  #: that the plan was made with
    method: Method
    folds: Sequence[Fold]  #: that the model allows
    threads: int

    def of_part(self, part: int) -> list[PlannedTensor]:
        """Return the tensors with rows that are made of a part's tensors alone."""
        return self.skeleton.tensors_of(part, self.tensors)


class Rounding:
    """The steps of one rounding.

    Args:
        assignment: What is to be done.
        work: Keeps what is done, so that a stopped run goes on at its block.
        pool: Where sequences, and rows, are worked on; torch uses one thread in each.
        tell: Hears of the progress.
    """

    def __init__(self, assignment: Assignment, work: Work, pool: Executor, tell: Tell) -> None:
        self._assignment, self._work, self._pool, self._tell = assignment, work, pool, tell
        self._device = assignment.skeleton.settings.device
        calibration = assignment.calibration
        self._tokens = torch.from_numpy(calibration.tokens).to(self._device, torch.int64)
        self._measured = len(calibration.tokens) - calibration.held_out
        self._known = {tensor.name: tensor for tensor in calibration.tensors}
        self._rounded = Rounded(work.folder)
        self._folded: list[tuple[Fold, Rows]] = []
        #: Name -> the errors of each tensor that was rounded.
        self.errors: dict[str, Errors] = {}

    @property
    def result(self) -> Chosen:
        """What has been chosen."""
        return Chosen(self._rounded, self._factors)

    @property
    def foldings(self) -> int:
        """How many foldings are kept."""
        return len(self._folded)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The tensors that the method changes."""
        result = self.result
        return tuple(tensor.name for tensor in self._assignment.tensors if result.changes(tensor))

    @property
    def searched(self) -> tuple[str, ...]:
        """The tensors for which the reference's search was better."""
        return tuple(name for name, errors in self.errors.items() if errors.ours >= errors.searched)

    @property
    def without(self) -> tuple[str, ...]:
        """The quantized tensors that could not be rounded: of another type, or without inputs to go by."""
        if not self._assignment.method.feeds_back:
            return ()
        return tuple(
            tensor.name
            for tensor in self._assignment.tensors
            if GGML_TYPES[tensor.type].quantized and tensor.name not in self.errors
        )

    @torch.no_grad()
    def run(self) -> None:
        """Round what is outside of the blocks, and then one block after the other."""
        count = len(self._assignment.skeleton)
        self._tell("rounding", 0, count)
        self._step("vocabulary", self._vocabulary)
        passage = self._embed()
        for number in range(count):
            self._step(f"rounded-{number}", partial(self._block, passage, number))
            self._work.forget(_states_of(number))
            self._tell("rounding", number + 1, count)

    @property
    def _factors(self) -> Factors | None:
        return Factors.of(self._folded) if self._folded else None

    @property
    def _planned(self) -> Planned:
        """The file as far as it is known."""
        assignment = self._assignment
        return Planned(
            assignment.checkpoint, assignment.tensors, assignment.importance, self._pool, self._rounded, self._factors
        )

    def _choose(self, tensor: PlannedTensor, evidence: Evidence) -> Errors:
        return Chooser(self._planned, self._rounded, self._pool)(tensor, evidence)

    def _step(self, name: str, work: Callable[[], Mapping[str, Errors]]) -> None:
        """Do a step, or take the figures of the earlier run that has done it."""
        if not self._work.has(name):
            self._work.keep(name, {tensor: np.array(errors) for tensor, errors in work().items()})
        self.errors |= {tensor: Errors(*held.tolist()) for tensor, held in self._work.kept(name).items()}

    def _vocabulary(self) -> dict[str, Errors]:
        """Round the embedding and the output matrix: all rows have one Hessian, which the calibration holds."""
        found = {}
        for tensor in self._assignment.of_part(OUTSIDE):
            known = self._known.get(tensor.name)
            if known is not None and known.hessian.size and self._rounds(tensor):
                hessian = torch.from_numpy(known.hessian).to(self._device)
                found[tensor.name] = self._choose(tensor, Evidence([hessian], [hessian], None))
        return found

    def _embed(self) -> Passage:
        """Compute what the first block gets."""
        skeleton = self._assignment.skeleton
        outside(skeleton, Original(self._assignment.checkpoint))  # which decides whether the head is the embedding
        outside(skeleton, self._planned)
        passage = Passage(skeleton, self._tokens.shape[1])
        first = passage.embed(self._tokens[:1])
        self._shape, self._dtype = (*self._tokens.shape, first.shape[-1]), first.dtype
        if not self._work.has("inputs"):
            hidden = self._states(0)
            for some in batches(self._tokens):
                hidden.write(some.start, passage.embed(self._tokens[some]))
            self._work.keep("inputs", {})
        skeleton.unload(OUTSIDE)
        return passage

    def _block(self, passage: Passage, number: int) -> dict[str, Errors]:
        """Round a block stage by stage, and take all sequences through what became of it."""
        skeleton, infos = self._assignment.skeleton, self._assignment.checkpoint.infos
        original = Original(self._assignment.checkpoint)
        skeleton.load(number, original)
        joined = Joined(skeleton, self._assignment.of_part(number), infos)
        before, behind = self._states(number), self._states(number + 1)
        run = partial(self._through, passage, number, before)
        if self._assignment.method.folds:
            self._fold(joined, number, run)
            if (factors := self._factors) is not None:
                skeleton.load(number, Folded(original, factors, self._assignment.tensors, infos))
        found: dict[str, Errors] = {}
        stages = stages_of(self._wanted(joined, number), partial(run, slice(0, 1)))
        for place, stage in enumerate(stages):
            later = [name for rest in stages[place + 1 :] for name in rest]
            measured, held_out = self._hessians(joined, number, stage, later, run)
            for index, tensor in enumerate(joined.tensors):
                if self._rounds(tensor) and (evidence := self._evidence(joined, index, measured, held_out)) is not None:
                    found[tensor.name] = self._choose(tensor, evidence)
            self._place(joined, stage, done=found)
        self._place(joined, joined.parameters)
        parts = list(batches(self._tokens))
        for some, made in zip(parts, self._pool.map(run, parts), strict=True):
            behind.write(some.start, made)
        skeleton.unload(number)
        return found

    def _fold(self, joined: Joined, number: int, run: Callable[[slice], Tensor]) -> None:
        """Choose the foldings of a block, or take those of an earlier run; give up what changes the block's outputs."""
        folds = {fold.maker: fold for fold in self._assignment.folds if fold.block == number}
        step = f"folds-{number}"
        if not self._work.has(step):
            hessians = (
                {tensor.name: _of_experts(joined, index, held) for index, tensor in enumerate(joined.tensors)}
                for held in self._hessians(joined, number, joined.parameters, (), run)
            )
            measured, held_out = ({name: held for name, held in found.items() if held} for found in hessians)
            chosen = chosen_factors(
                [*folds.values()], joined.tensors, measured, {**measured, **held_out}, self._planned, self._pool
            )
            if chosen and not self._holds(number, chosen, run):
                chosen = []
            self._work.keep(step, {fold.maker: factors for fold, factors in chosen})
        self._folded += [(folds[maker], factors) for maker, factors in self._work.kept(step).items()]

    def _holds(self, number: int, chosen: Sequence[tuple[Fold, Rows]], run: Callable[[slice], Tensor]) -> bool:
        """Tell whether a block with foldings makes of a sequence what it makes without them."""
        assignment, original = self._assignment, Original(self._assignment.checkpoint)
        expected = run(slice(0, 1))
        factors = Factors.of(chosen)
        assignment.skeleton.load(number, Folded(original, factors, assignment.tensors, assignment.checkpoint.infos))
        found = run(slice(0, 1))
        assignment.skeleton.load(number, original)
        return float((found - expected).abs().max()) <= TOLERANCE * float(expected.std())

    def _wanted(self, joined: Joined, number: int) -> dict[str, Tensor]:
        """Return the parameters of a block with tensors that are rounded."""
        return {
            name: parameter
            for name, parameter in self._assignment.skeleton.parameters(number).items()
            if any(self._rounds(tensor) and joined.has(name, tensor) for tensor in joined.tensors)
        }

    def _hessians(
        self,
        joined: Joined,
        number: int,
        stage: Sequence[str],
        later: Sequence[str],
        run: Callable[[slice], Tensor],
    ) -> tuple[dict[Key, Summed], dict[Key, Summed]]:
        """Return the Hessians of what is measured on, and of what is held out."""
        collector = Collector(joined, self._weights_of_tokens(joined), stage, later)
        collect = partial(self._collected, collector, run, self._assignment.skeleton.parameters(number))
        return collect(0, self._measured), collect(self._measured, len(self._tokens))

    @torch.no_grad()  # which is a thread's own
    def _through(self, passage: Passage, number: int, before: States, some: slice) -> Tensor:
        """Take some sequences through a block."""
        return passage.block(number, before.read(some.start, some.stop, self._device))

    def _collected(
        self,
        collector: Collector,
        run: Callable[[slice], Tensor],
        parameters: Mapping[str, Tensor],
        start: int,
        stop: int,
    ) -> dict[Key, Summed]:
        """Collect the Hessians of sequences `start:stop`."""
        parts = (some for some in batches(self._tokens, self._measured) if start <= some.start < stop)
        tasks = (partial(collector.of_sequences, parameters, some, partial(run, some)) for some in parts)
        return in_order(self._pool, tasks, hessians_at_once(collector.nbytes, self._assignment.threads))

    def _evidence(
        self, joined: Joined, number: int, measured: Mapping[Key, Summed], held_out: Mapping[Key, Summed]
    ) -> Evidence | None:
        """Return what is known of a tensor of a stage, or None if it is of another one."""
        inputs = _of_experts(joined, number, measured)
        if not inputs:
            return None
        known = self._known.get(joined.tensors[number].name)
        outputs = None
        if known is not None and known.output_factors.size:
            outputs = both_sides(torch.from_numpy(known.output_factors).to(self._device))
        return Evidence(inputs, _of_experts(joined, number, held_out) or inputs, outputs)

    def _place(self, joined: Joined, parameters: Sequence[str], done: Container[str] | None = None) -> None:
        """Give parameters the values that the file will have; those of `done` alone if that is given."""
        settings, skeleton = self._assignment.skeleton.settings, self._assignment.skeleton

        planned = self._planned

        def read(tensor: PlannedTensor) -> Rows:
            return planned.rows(tensor) if done is None or tensor.name in done else planned.original(tensor)

        for names, tensors in joined.groups:
            if not {*names}.isdisjoint(parameters):
                made = joined.values(read, Meaning.WEIGHTS, tensors)
                skeleton.place({name: held.to(settings.device, settings.dtype) for name, held in made.items()})

    def _weights_of_tokens(self, joined: Joined) -> dict[int, Tensor]:
        """Return how much each token counts, by the number of the tensor."""
        found = {}
        for number, tensor in enumerate(joined.tensors):
            known = self._known.get(tensor.name)
            if known is not None and known.token_weights.size:
                found[number] = torch.from_numpy(known.token_weights).to(self._device).clamp_max(MOST_WEIGHT)
        return found

    def _rounds(self, tensor: PlannedTensor) -> bool:
        return self._assignment.method.feeds_back and tensor.type in ROUNDED_TYPES

    def _states(self, number: int) -> States:
        """Return what block `number` gets from the rounded blocks before it."""
        return self._work.states(_states_of(number), self._shape, self._dtype)


def _states_of(number: int) -> str:
    return f"rounded-{number}"


def _of_experts(joined: Joined, number: int, found: Mapping[Key, Summed]) -> list[Tensor]:
    """Return the Hessian of a tensor, or of each of its experts; none if there is nothing to go by."""
    tensor, mine = joined.tensors[number], {key: summed for key, summed in found.items() if key.tensor == number}
    experts = tensor.rows // tensor.rows_of_an_expert
    if not mine:
        return []
    hessians = [summed.hessian for summed in mine.values()]
    layer = hessians[0] if len(hessians) == 1 else torch.stack(hessians).sum(0)
    if experts == 1:
        return [layer]
    tokens = sum(summed.tokens for summed in mine.values())
    hessians = [layer / tokens] * experts
    for key, summed in mine.items():
        place = joined.places[key.parameter, key.matrix]
        expert = int(place.rows[place.tensors == number].min()) // tensor.rows_of_an_expert
        hessians[expert] = shrunk(summed.hessian, summed.tokens, layer, tokens)
    return hessians
