"""Rounding layer by layer: each block's matrices are rounded for what the rounded blocks before it hand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.blocks.base import BlockType
from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.calibrate.backwards import Meaning
from quantize_cli.calibrate.curving import both_sides, curvature, shrunk
from quantize_cli.calibrate.forward import batches, outside
from quantize_cli.calibrate.hessians import MOST_WEIGHT, Collector, Key, Summed, in_order, stages_of
from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.planned import Planned
from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.states import States
from quantize_cli.calibrate.work import Work
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.gguf_file.types import GGML_TYPES
from quantize_cli.methods.curvature import Curvature
from quantize_cli.methods.gptq import ROWS_AT_ONCE, round_rows
from quantize_cli.methods.rounded import Rounded
from quantize_cli.methods.two_sides import descend_rows
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.sensitivity.model import Calibration

Rows = NDArray[np.float32]
TWO = True
KEEP = False
#: Called with what is being done, how much of it is done, and how much there is.
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False, slots=True)
class Assignment:
    """What is to be rounded, and by what."""

    checkpoint: Checkpoint
    skeleton: Skeleton
    tensors: Sequence[PlannedTensor]  #: of the file that is planned
    calibration: Calibration
    weights: Planned  #: of the file, as the reference's search makes it

    @property
    def measured(self) -> int:
        """How many of the sequences Hessians are of."""
        return len(self.calibration.tokens) - self.calibration.held_out


class Rounding:
    """The steps of one rounding.

    Args:
        assignment: What is to be done.
        work: Keeps what is done.
        pool: Where sequences, and rows, are worked on.
        threads: Number of the pool's threads.
        tell: Hears of the progress.
    """

    def __init__(self, assignment: Assignment, work: Work, pool: ThreadPoolExecutor, threads: int, tell: Tell) -> None:
        self._assignment, self._work, self._pool, self._threads, self._tell = assignment, work, pool, threads, tell
        settings = assignment.skeleton.settings
        self._tokens = torch.from_numpy(assignment.calibration.tokens).to(settings.device, torch.int64)
        self._known = {tensor.name: tensor for tensor in assignment.calibration.tensors}
        self.rounded = Rounded(work.folder)
        self._weights = Planned(
            assignment.checkpoint, assignment.tensors, assignment.weights._importance, pool, self.rounded
        )
        #: Name of each tensor that was rounded -> the errors of our blocks and of the reference's search, which the
        #: inputs of the texts that are held out have.
        self.figures: dict[str, tuple[float, float]] = {}

    @property
    def chosen(self) -> tuple[str, ...]:
        """The tensors whose blocks are ours."""
        return tuple(name for name, (ours, theirs) in self.figures.items() if ours < theirs)

    @property
    def searched(self) -> tuple[str, ...]:
        """The tensors for which the reference's search was better."""
        return tuple(name for name, (ours, theirs) in self.figures.items() if ours >= theirs)

    @property
    def without(self) -> tuple[str, ...]:
        """The quantized tensors that could not be rounded: of another type, or without inputs to go by."""
        return tuple(
            tensor.name
            for tensor in self._assignment.tensors
            if GGML_TYPES[tensor.type].quantized and tensor.name not in self.figures
        )

    def run(self) -> None:
        """Round what is outside of the blocks, and then one block after the other."""
        skeleton = self._assignment.skeleton
        if not self._earlier("vocabulary"):
            for tensor in self._of_part(OUTSIDE):
                self._vocabulary(tensor)
            self._keep("vocabulary", [tensor.name for tensor in self._of_part(OUTSIDE)])
        outside(skeleton, self._weights)
        self._passage = Passage(skeleton, self._tokens.shape[1])
        with torch.no_grad():
            first = self._passage.embed(self._tokens[:1])
            self._shape, self._dtype = (*self._tokens.shape, first.shape[-1]), first.dtype
            if not self._work.has("inputs"):
                hidden = self._states(0)
                for some in batches(self._tokens):
                    hidden.write(some.start, self._passage.embed(self._tokens[some]))
                self._work.keep("inputs", {})
        skeleton.unload(OUTSIDE)
        self._tell("rounding", 0, len(skeleton))
        for number in range(len(skeleton)):
            if not self._earlier(f"rounded-{number}"):
                self._block(number)
                self._keep(f"rounded-{number}", [tensor.name for tensor in self._of_part(number)])
                self._work.forget(f"rounded-{number}")
            self._tell("rounding", number + 1, len(skeleton))

    def _earlier(self, step: str) -> bool:
        """Tell whether an earlier run has done a step; take its figures if it has."""
        if not self._work.has(step):
            return False
        self.figures |= {name: (float(held[0]), float(held[1])) for name, held in self._work.kept(step).items()}
        return True

    def _keep(self, step: str, names: Sequence[str]) -> None:
        """Remember that a step is done."""
        self._work.keep(step, {name: np.array(self.figures[name]) for name in names if name in self.figures})

    def _vocabulary(self, tensor: PlannedTensor) -> None:
        """Round the embedding or the output matrix: all rows have one Hessian, which the calibration holds."""
        known = self._known.get(tensor.name)
        held = BLOCK_TYPES.get(tensor.type)
        if known is None or not known.hessian.size or held is None or held.grid is None:
            return
        rows = self._weights.original(tensor)
        hessian = torch.from_numpy(known.hessian)
        packed = self._packed(rows, held, curvature(hessian))
        self._keep_better(tensor, rows, packed, [hessian])

    def _block(self, number: int) -> None:
        assignment, skeleton = self._assignment, self._assignment.skeleton
        with torch.no_grad():
            skeleton.load(number, _Originals(assignment.weights))
            joined = Joined(skeleton, self._of_part(number), assignment.checkpoint.infos)
            parameters = skeleton.parameters(number)
            before, behind = self._states(number), self._states(number + 1)
            wanted = {
                name: parameters[name]
                for name in joined.parameters
                if any(self._gridded(tensor) and joined.has(name, tensor) for tensor in joined.tensors)
            }
            first = before.read(0, 1, self._tokens.device)
            stages = stages_of(wanted, lambda: self._passage.block(number, first))
            rows: dict[str, Rows] = {}
            for place, stage in enumerate(stages):
                later = [name for rest in stages[place + 1 :] for name in rest]
                collector = Collector(joined, self._token_weights(joined), stage, later)
                collect = partial(self._collected, collector, number, before)
                measured, held_out = collect(0, assignment.measured), collect(assignment.measured, len(self._tokens))
                self._stage(joined, stage, measured, held_out, rows)
            self._place(joined, set(joined.parameters), rows, rest=True)
            tasks = (partial(self._through, number, before, behind, some) for some in batches(self._tokens))
            for some, made in self._pool.map(lambda task: task(), tasks):
                behind.write(some.start, made)
        skeleton.unload(number)

    def _stage(
        self,
        joined: Joined,
        stage: Sequence[str],
        measured: Mapping[Key, Summed],
        held_out: Mapping[Key, Summed],
        rows: dict[str, Rows],
    ) -> None:
        """Round the tensors of a stage, and place them in the block."""
        for number, tensor in enumerate(joined.tensors):
            keys = [key for key in measured if key.tensor == number]
            if not keys or not self._gridded(tensor):
                continue
            originals = self._weights.original(tensor)
            held = BLOCK_TYPES[tensor.type]
            hessians = self._of_experts(joined, tensor, keys, measured)
            curved = [curvature(hessian) for hessian in hessians]
            packed = np.concatenate(
                [
                    self._packed(
                        originals[expert * tensor.rows_of_an_expert :][: tensor.rows_of_an_expert], held, curvature
                    )
                    for expert, curvature in enumerate(curved)
                ]
            )
            known = self._known[tensor.name].output_factors
            outputs = both_sides(torch.from_numpy(known)) if known.size and TWO else None
            if outputs is not None:
                error = torch.from_numpy(originals) - torch.from_numpy(_values(packed, held, originals.shape))
                slope = outputs @ error @ torch.from_numpy(curved[0].hessian)
                descend_rows(packed, held, error.numpy(), slope.numpy(), curved[0].hessian, outputs.numpy())
            judges = self._of_experts(joined, tensor, [key for key in keys if key in held_out], held_out) or hessians
            rows[tensor.name] = self._keep_better(tensor, originals, packed, judges, outputs)
        self._place(joined, set(stage), rows)

    def _of_experts(
        self, joined: Joined, tensor: PlannedTensor, keys: Sequence[Key], found: Mapping[Key, Summed]
    ) -> list[Tensor]:
        """Return the Hessian of each expert of a tensor, or of the tensor."""
        experts = tensor.rows // tensor.rows_of_an_expert
        if not keys:
            return []
        if experts == 1:
            return [sum(found[key].hessian for key in keys)]
        layer = sum(found[key].hessian for key in keys)
        tokens = sum(found[key].tokens for key in keys)
        hessians = [layer / tokens] * experts
        for key in keys:
            place = joined.places[key.parameter, key.matrix]
            expert = int(place.rows[place.tensors == key.tensor].min()) // tensor.rows_of_an_expert
            hessians[expert] = shrunk(found[key].hessian, found[key].tokens, layer, tokens)
        return hessians

    def _keep_better(
        self,
        tensor: PlannedTensor,
        rows: Rows,
        packed: NDArray[np.uint8],
        judges: Sequence[Tensor],
        outputs: Tensor | None = None,
    ) -> Rows:
        """Keep blocks if they are better than those of the reference's search; return the values of what is kept."""
        ours = np.empty_like(rows)
        BLOCK_TYPES[tensor.type].dequantize(packed, ours)
        theirs = self._weights.searched(tensor, rows)
        mine, other = (
            sum(
                _error(rows[some] - made[some], judge, outputs)
                for expert, judge in enumerate(judges)
                for some in [slice(expert * tensor.rows_of_an_expert, (expert + 1) * tensor.rows_of_an_expert)]
            )
            for made in (ours, theirs)
        )
        self.figures[tensor.name] = mine, other
        if mine < other or KEEP:
            self.rounded.write(tensor.name, packed)
            return ours
        return theirs

    def _packed(self, rows: Rows, held: BlockType, curved: Curvature) -> NDArray[np.uint8]:
        chunks = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
        return np.concatenate(list(self._pool.map(lambda chunk: round_rows(chunk, held, curved), chunks)))

    def _place(self, joined: Joined, names: set[str], rows: Mapping[str, Rows], *, rest: bool = False) -> None:
        """Give parameters the values of tensors that are rounded; the others' are the original's, or with `rest` too."""
        skeleton = self._assignment.skeleton

        def read(tensor: PlannedTensor) -> Rows:
            if tensor.name in rows:
                return rows[tensor.name]
            return self._weights.rows(tensor) if rest else self._weights.original(tensor)

        for parameters, tensors in joined.groups:
            if names.intersection(parameters):
                made = joined.values(read, Meaning.WEIGHTS, tensors)
                skeleton.place(
                    {name: value.to(skeleton.settings.device, skeleton.settings.dtype) for name, value in made.items()}
                )

    def _collected(self, collector: Collector, number: int, before: States, start: int, stop: int) -> dict[Key, Summed]:
        """Collect Hessians of sequences `start:stop` on all threads."""
        parameters = self._assignment.skeleton.parameters(number)

        def task(some: slice) -> dict[Key, Summed]:
            with torch.no_grad():
                hidden = before.read(some.start, some.stop, self._tokens.device)
                return collector.of_sequences(parameters, some, lambda: self._passage.block(number, hidden))

        parts = (
            [some for some in batches(self._tokens, start) if start <= some.start < stop]
            if start
            else [some for some in batches(self._tokens, stop) if some.start < stop]
        )
        return in_order(self._pool, (partial(task, some) for some in parts), self._threads)

    def _through(self, number: int, before: States, behind: States, some: slice) -> tuple[slice, Tensor]:
        with torch.no_grad():
            return some, self._passage.block(number, before.read(some.start, some.stop, self._tokens.device))

    def _token_weights(self, joined: Joined) -> dict[int, Tensor]:
        found = {}
        for number, tensor in enumerate(joined.tensors):
            known = self._known.get(tensor.name)
            if known is not None and known.token_weights.size:
                weights = torch.from_numpy(known.token_weights).to(self._tokens.device)
                found[number] = weights.clamp_max(MOST_WEIGHT)
        return found

    def _gridded(self, tensor: PlannedTensor) -> bool:
        held = BLOCK_TYPES.get(tensor.type) if tensor.type in BLOCK_TYPES else None
        return held is not None and held.grid is not None

    def _of_part(self, part: int) -> list[PlannedTensor]:
        names = set(self._assignment.skeleton.names(part))
        return [
            tensor
            for tensor in self._assignment.tensors
            if tensor.sources and len(tensor.shape) > 1 and names.issuperset(tensor.sources)
        ]

    def _states(self, number: int) -> States:
        return self._work.states(f"rounded-{number}", self._shape, self._dtype)


class _Originals:
    """The original's weights."""

    def __init__(self, planned: Planned) -> None:
        self._planned = planned

    def read(self, names: Sequence[str]) -> dict[str, Rows]:
        """Return tensors of the checkpoint."""
        return self._planned._original.read(names)


def _error(change: Rows, judge: Tensor, outputs: Tensor | None = None) -> float:
    held = torch.from_numpy(change)
    other = held if outputs is None else outputs @ held
    return float(((held @ judge) * other).sum(dtype=torch.float64))


def _values(packed: NDArray[np.uint8], held: BlockType, shape: tuple[int, ...]) -> Rows:
    values = np.empty(shape, np.float32)
    held.dequantize(packed, values)
    return values
