"""The measurement of a model on tokens: importances on the way forward, costs on the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.candidates import candidates_of, stored
from quantize_cli.calibrate.costs import BlockCosts
from quantize_cli.calibrate.ends import from_labels, to_embedding
from quantize_cli.calibrate.forward import batches, outside
from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.output_gradients import OutputGradients
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.products import Watch
from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.squares import Squares
from quantize_cli.calibrate.states import States
from quantize_cli.calibrate.vocabulary_costs import EmbeddingCosts, OutputCosts, costs_of
from quantize_cli.calibrate.weights import Weights
from quantize_cli.calibrate.work import Work
from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.planning.model import PlannedTensor
from quantize_cli.run.rows import SourceRows
from quantize_cli.sensitivity.model import BlockActivations, TensorCalibration

Rows = NDArray[np.float32]
#: Called with what is being done, how much of it is done, and how much there is.
Tell = Callable[[str, int, int], None]

#: GGUF tensors with a row for each token.
EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """What is measured."""

    checkpoint: Checkpoint
    weights: Weights
    skeleton: Skeleton
    tensors: Sequence[PlannedTensor]  #: of a lossless file
    tokens: Tensor  #: int64[sequences, context], where the model is computed
    held_out: int  #: how many of the last sequences are of texts that nothing but their gradients is measured on
    seed: int  #: for the labels
    types: Sequence[str]  #: those whose costs are measured
    threads: int

    @property
    def measured(self) -> Tensor:
        """The tokens without those that are held out."""
        return self.tokens[: len(self.tokens) - self.held_out]

    def of_part(self, part: int) -> list[PlannedTensor]:
        """Return the GGUF tensors with rows that are made of a part's tensors alone."""
        return self.skeleton.tensors_of(part, self.tensors)


def measure(subject: Subject, work: Work, tell: Tell) -> tuple[list[TensorCalibration], list[BlockActivations]]:
    """Measure a model; what `work` has already is not done again.

    Returns:
        What is known of each GGUF tensor that the tokens were multiplied by, and how large hidden states are.
    """
    with ThreadPoolExecutor(subject.threads) as pool:
        measuring = _Measuring(subject, work, tell, pool)
        measuring.forward()
        measuring.backward()
        return measuring.tensors(), measuring.activations()


class _Measuring:
    """The steps of one measurement."""

    def __init__(self, subject: Subject, work: Work, tell: Tell, pool: ThreadPoolExecutor) -> None:
        self._subject, self._work, self._tell, self._pool = subject, work, tell, pool
        with self._ends_loaded():
            self._passage = Passage(subject.skeleton, subject.tokens.shape[1])
            first = self._passage.embed(subject.tokens[:1])
        self._shape = (*subject.tokens.shape, first.shape[-1])
        self._dtype = first.dtype
        self._rows = SourceRows(subject.checkpoint)

    def forward(self) -> None:
        """Compute what each block gets, and what its matrices are multiplied by."""
        if not self._work.has("inputs"):
            self._embed()
            self._work.keep("inputs", {})
        count = len(self._subject.skeleton)
        self._tell("importance", 0, count)
        for number in range(count):
            if not self._work.has(f"squares-{number}"):
                self._work.keep(f"squares-{number}", self._forward(number))
            self._tell("importance", number + 1, count)

    def backward(self) -> None:
        """Compute what each type of each tensor costs, from the last block to the first."""
        count = len(self._subject.skeleton)
        if not self._work.has("ends"):
            self._ends()
        self._tell("sensitivity", 0, count)
        for number in reversed(range(count)):
            if not self._work.has(f"costs-{number}"):
                self._work.keep(f"costs-{number}", self._backward(number))
                self._work.forget(f"hidden-{number + 1}")
                self._work.forget(f"gradient-{number + 1}")
            self._tell("sensitivity", count - number, count)
        self._tell("vocabulary", 0, 1)
        if not self._work.has("vocabulary"):
            self._work.keep("vocabulary", self._vocabulary())
        self._tell("vocabulary", 1, 1)

    def _forward(self, number: int) -> dict[str, Rows]:
        """Take all sequences through a block."""
        subject = self._subject
        subject.skeleton.load(number, subject.weights)
        squares, sizes = Squares(), _Sizes()
        before, behind = self._states(number), self._states(number + 1)
        with torch.no_grad():
            for some in batches(subject.tokens, len(subject.measured)):
                held = before.read(some.start, some.stop, subject.tokens.device)
                if some.start >= len(subject.measured):
                    behind.write(some.start, self._passage.block(number, held))
                    continue
                with Watch(subject.skeleton.parameters(number), squares.add):
                    made = self._passage.block(number, held)
                behind.write(some.start, made)
                sizes.add(made)
        found = sizes.of()
        for name, (sums, counts) in squares.of(self._joined(number)).items():
            found |= {f"sums {name}": sums, f"counts {name}": counts}
        subject.skeleton.unload(number)
        return found

    def _embed(self) -> None:
        """Compute what the first block gets."""
        hidden = self._states(0)
        with self._ends_loaded(), torch.no_grad():
            for some in batches(self._subject.tokens):
                hidden.write(some.start, self._passage.embed(self._subject.tokens[some]))

    def _ends(self) -> None:
        """Draw labels behind the last block."""
        subject, count = self._subject, len(self._subject.skeleton)
        generator = torch.Generator().manual_seed(subject.seed)
        hidden, gradient, costs = self._states(count), self._gradient(count), OutputCosts()
        self._tell("labels", 0, len(hidden))
        with self._ends_loaded() as parameters:
            for number in range(len(hidden)):
                behind = hidden.read(number, number + 1, subject.tokens.device)[0]
                counted = costs if number < len(subject.measured) else OutputCosts()
                gradient.write(number, from_labels(self._passage, parameters, behind, generator, counted)[None])
                self._tell("labels", number + 1, len(hidden))
        self._work.keep("ends", costs.state())

    def _backward(self, number: int) -> dict[str, Rows]:
        """Take the gradients of all sequences through a block."""
        subject = self._subject
        subject.skeleton.load(number, subject.weights)
        joined = self._joined(number)
        types = {tensor.name: self._types(tensor, self._importance(number, tensor)) for tensor in joined.tensors}
        costs = BlockCosts(
            joined,
            types,
            lambda tensor: self._changes(tensor, self._importance(number, tensor)),
            subject.tokens.device,
        )
        for name, parameter in subject.skeleton.parameters(number).items():
            parameter.requires_grad_()
            parameter.register_post_accumulate_grad_hook(partial(_count, costs, name))
        hidden, behind, before = self._states(number), self._gradient(number + 1), self._gradient(number)
        gradients = OutputGradients(joined, subject.tokens.shape, len(subject.measured))
        for place in range(len(hidden)):
            if place == len(subject.measured):
                subject.skeleton.model.requires_grad_(requires_grad=False)
            start = hidden.read(place, place + 1, subject.tokens.device).requires_grad_()
            with torch.enable_grad(), Watch(subject.skeleton.parameters(number), partial(gradients.watch, place)):
                made = self._passage.block(number, start)
            made.backward(behind.read(place, place + 1, made.device))
            assert start.grad is not None
            before.write(place, start.grad)
        subject.skeleton.unload(number)
        found = costs.of(subject.measured.numel())
        return gradients.of() | {f"costs {name}": _in_order(held, subject.types) for name, held in found.items()}

    def _vocabulary(self) -> dict[str, Rows]:
        """Compute the costs of the embedding and the output matrix."""
        subject = self._subject
        gradient, embedding = self._gradient(0), EmbeddingCosts()
        with self._ends_loaded():
            for number, tokens in enumerate(subject.measured):
                to_embedding(self._passage, tokens, gradient.read(number, number + 1, tokens.device)[0], embedding)
        output = OutputCosts.of_state(self._work.kept("ends"))
        named = {tensor.name: tensor for tensor in self._subject.of_part(OUTSIDE)}
        roles: Mapping[str, list[OutputCosts | EmbeddingCosts]] = (
            {EMBEDDING: [embedding], OUTPUT: [output]} if OUTPUT in named else {EMBEDDING: [embedding, output]}
        )
        found = {}
        for name, held in roles.items():
            if name in named:
                tensor = named[name]
                types = self._types(tensor, None)
                costs = costs_of(held, types, self._changes(tensor, None), subject.measured.numel())
                found[f"costs {name}"] = _in_order(costs, subject.types)
                hessians = [hessian for role in held if (hessian := role.hessian()) is not None]
                if hessians:
                    found[f"hessian {name}"] = np.sum(hessians, axis=0) / subject.measured.numel()
        return found

    def tensors(self) -> list[TensorCalibration]:
        """Return what is known of each tensor, in the order of the file."""
        kept: dict[str, Rows] = self._work.kept("vocabulary")
        for number in range(len(self._subject.skeleton)):
            kept |= self._work.kept(f"squares-{number}") | self._work.kept(f"costs-{number}")
        found = []
        for tensor in self._subject.tensors:
            costs = kept.get(f"costs {tensor.name}")
            sums = kept.get(f"sums {tensor.name}", np.zeros((0, 0), np.float32))
            counts = kept.get(f"counts {tensor.name}", np.zeros(0, np.float32))
            if costs is not None or len(counts):
                measured = {} if costs is None else dict(zip(self._subject.types, costs.tolist(), strict=True))
                known = {name: cost for name, cost in measured.items() if cost >= 0}
                others = (kept.get(f"{what} {tensor.name}", _NONE) for what in ("weights", "hessian", "outputs"))
                found.append(TensorCalibration(tensor.name, sums, counts, known, *others))
        return found

    def activations(self) -> list[BlockActivations]:
        """Return how large hidden states are behind each block."""
        kept = (self._work.kept(f"squares-{number}") for number in range(len(self._subject.skeleton)))
        return [BlockActivations(held["largest"], held["mean square"]) for held in kept]

    @contextmanager
    def _ends_loaded(self) -> Iterator[Mapping[str, Tensor]]:
        """Hold what is outside of the blocks, which blocks do not need; give its parameters."""
        yield outside(self._subject.skeleton, self._subject.weights)
        self._subject.skeleton.unload(OUTSIDE)

    def _states(self, number: int) -> States:
        """Return what block `number` gets."""
        return self._work.states(f"hidden-{number}", self._shape, self._dtype)

    def _gradient(self, number: int) -> States:
        """Return the gradient at what block `number` gets."""
        return self._work.states(f"gradient-{number}", self._shape, self._dtype)

    def _joined(self, number: int) -> Joined:
        subject = self._subject
        return Joined(subject.skeleton, subject.of_part(number), subject.checkpoint.infos)

    def _read(self, tensor: PlannedTensor) -> Rows:
        """Read a whole tensor; maps work on one matrix at a time."""
        step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
        return np.concatenate(
            [self._rows.rows(tensor, start, start + step).rows for start in range(0, tensor.rows, step)]
        )

    def _changes(self, tensor: PlannedTensor, importance: Rows | None) -> Callable[[str], Rows]:
        """Read a tensor; return what tells what storing it in a type changes."""
        rows = self._read(tensor)
        return lambda name: stored(rows, name, importance, tensor.rows_of_an_expert, self._pool) - rows

    def _types(self, tensor: PlannedTensor, importance: Rows | None) -> tuple[str, ...]:
        return candidates_of(tensor, importance, self._subject.types)

    def _importance(self, number: int, tensor: PlannedTensor) -> Rows | None:
        """Return the mean squares of a tensor's inputs, as an importance matrix has them; 1 for experts without any."""
        held = self._work.kept(f"squares-{number}")
        sums, counts = held.get(f"sums {tensor.name}"), held.get(f"counts {tensor.name}")
        if sums is None or counts is None:
            return None
        return np.divide(sums, counts[:, None], out=np.ones_like(sums), where=counts[:, None] > 0)


class _Sizes:
    """How large the values of each channel are, over all hidden states that are added."""

    def __init__(self) -> None:
        self._largest: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._tokens = 0

    def add(self, hidden: Tensor) -> None:
        """Count hidden states [sequences, context, width]."""
        flat = hidden.reshape(-1, hidden.shape[-1]).float()
        self._largest.append(flat.abs().amax(0).cpu())
        self._squares.append(flat.square().sum(0, dtype=torch.float64).cpu())
        self._tokens += len(flat)

    def of(self) -> dict[str, Rows]:
        """Return the largest magnitudes and the mean squares."""
        mean = torch.stack(self._squares).sum(0) / self._tokens
        return {"largest": torch.stack(self._largest).amax(0).numpy(), "mean square": mean.float().numpy()}


def _count(costs: BlockCosts, name: str, parameter: Tensor) -> None:
    """Count a parameter's gradient as soon as it is there, and give it up: all of them together would take memory."""
    if parameter.grad is not None:
        costs.add(name, parameter.grad)
        parameter.grad = None


def _in_order(costs: Mapping[str, float], types: Sequence[str]) -> Rows:
    """Return costs in the order of the types; -1 is a type that was not measured."""
    return np.array([costs.get(name, -1) for name in types], np.float32)
