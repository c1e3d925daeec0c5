"""The measurement of a model on tokens: importances on the way forward, costs on the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize_cli.calibrate.candidates import candidates_of, difference
from quantize_cli.calibrate.costs import BlockCosts
from quantize_cli.calibrate.ends import from_labels, to_embedding
from quantize_cli.calibrate.forward import batches, embedded, outside
from quantize_cli.calibrate.joining import Joined
from quantize_cli.calibrate.passage import Passage
from quantize_cli.calibrate.products import Watch
from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.squares import Squares
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


@dataclass(frozen=True, eq=False, slots=True)
class Subject:
    """What is measured."""

    checkpoint: Checkpoint
    weights: Weights
    skeleton: Skeleton
    tensors: Sequence[PlannedTensor]  #: of a lossless file
    tokens: Tensor  #: int64[sequences, context], where the model is computed
    seed: int  #: for the labels
    types: Sequence[str]  #: those whose costs are measured
    threads: int

    def of_part(self, part: int) -> list[PlannedTensor]:
        """Return the GGUF tensors with rows that are made of a part's tensors alone."""
        names = set(self.skeleton.names(part))
        return [
            tensor
            for tensor in self.tensors
            if tensor.sources and len(tensor.shape) > 1 and names.issuperset(tensor.sources)
        ]


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
        self._outside = outside(subject.skeleton, subject.weights)
        self._passage = Passage(subject.skeleton, subject.tokens.shape[1])
        first = self._passage.embed(subject.tokens[:1])
        self._shape = (*subject.tokens.shape, first.shape[-1])
        self._dtype = first.dtype
        self._rows = SourceRows(subject.checkpoint)

    def forward(self) -> None:
        """Compute what each block gets, and what its matrices are multiplied by."""
        if not self._work.has("outputs"):
            self._states(0).copy_(embedded(self._passage, self._subject.tokens))
            self._work.keep("outputs", {})
        count = len(self._subject.skeleton)
        for number in range(count):
            if not self._work.has(f"squares-{number}"):
                self._work.keep(f"squares-{number}", self._forward(number))
            self._tell("importance", number + 1, count)

    def backward(self) -> None:
        """Compute what each type of each tensor costs, from the last block to the first."""
        count = len(self._subject.skeleton)
        if not self._work.has("ends"):
            self._ends()
        for number in reversed(range(count)):
            if not self._work.has(f"costs-{number}"):
                self._work.keep(f"costs-{number}", self._backward(number))
                self._work.forget(f"hidden-{number + 1}")
                self._work.forget(f"gradient-{number + 1}")
            self._tell("sensitivity", count - number, count)
        if not self._work.has("vocabulary"):
            self._work.keep("vocabulary", self._vocabulary())

    def _forward(self, number: int) -> dict[str, Rows]:
        """Take all sequences through a block."""
        subject = self._subject
        subject.skeleton.load(number, subject.weights)
        squares = Squares()
        before, behind = self._states(number), self._states(number + 1)
        with torch.no_grad(), Watch(subject.skeleton.parameters(number), squares.add):
            for some in batches(before):
                behind[some] = self._passage.block(number, before[some].to(subject.tokens.device)).cpu()
        found: dict[str, Rows] = {}
        for name, (sums, counts) in squares.of(self._joined(number)).items():
            found |= {f"sums {name}": sums, f"counts {name}": counts}
        subject.skeleton.unload(number)
        flat = behind.reshape(-1, behind.shape[-1]).float()
        found["largest"] = flat.abs().amax(0).numpy()
        found["mean square"] = flat.square().mean(0, dtype=torch.float64).float().numpy()
        return found

    def _ends(self) -> None:
        """Draw labels behind the last block."""
        subject, count = self._subject, len(self._subject.skeleton)
        generator = torch.Generator().manual_seed(subject.seed)
        hidden, gradient, costs = self._states(count), self._gradient(count), OutputCosts()
        for number in range(len(subject.tokens)):
            behind = hidden[number].to(subject.tokens.device)
            gradient[number] = from_labels(self._passage, self._outside, behind, generator, costs).cpu()
            self._tell("labels", number + 1, len(subject.tokens))
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
        parameters = subject.skeleton.parameters(number)
        for parameter in parameters.values():
            parameter.requires_grad_()
        hidden, behind, before = self._states(number), self._gradient(number + 1), self._gradient(number)
        for place in range(len(subject.tokens)):
            start = hidden[place : place + 1].to(subject.tokens.device).requires_grad_()
            with torch.enable_grad():
                made = self._passage.block(number, start)
            made.backward(behind[place : place + 1].to(made.device))
            assert start.grad is not None
            before[place] = start.grad[0].cpu()
            costs.add({name: held.grad for name, held in parameters.items() if held.grad is not None})
            for parameter in parameters.values():
                parameter.grad = None
        subject.skeleton.unload(number)
        found = costs.of(subject.tokens.numel())
        return {f"costs {name}": _in_order(held, subject.types) for name, held in found.items()}

    def _vocabulary(self) -> dict[str, Rows]:
        """Compute the costs of the embedding and the output matrix."""
        subject = self._subject
        gradient, embedding = self._gradient(0), EmbeddingCosts()
        for number, tokens in enumerate(subject.tokens):
            to_embedding(self._passage, tokens, gradient[number].to(tokens.device), embedding)
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
                costs = costs_of(held, types, self._changes(tensor, None), subject.tokens.numel())
                found[f"costs {name}"] = _in_order(costs, subject.types)
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
                found.append(TensorCalibration(tensor.name, sums, counts, known))
        return found

    def activations(self) -> list[BlockActivations]:
        """Return how large hidden states are behind each block."""
        kept = (self._work.kept(f"squares-{number}") for number in range(len(self._subject.skeleton)))
        return [BlockActivations(held["largest"], held["mean square"]) for held in kept]

    def _states(self, number: int) -> Tensor:
        """Return what block `number` gets."""
        return self._work.states(f"hidden-{number}", self._shape, self._dtype)

    def _gradient(self, number: int) -> Tensor:
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
        return lambda name: difference(rows, name, importance, tensor.rows_of_an_expert, self._pool)

    def _types(self, tensor: PlannedTensor, importance: Rows | None) -> tuple[str, ...]:
        return candidates_of(tensor, importance, self._subject.types)

    def _importance(self, number: int, tensor: PlannedTensor) -> Rows | None:
        """Return the mean squares of a tensor's inputs, as an importance matrix has them; 1 for experts without any."""
        held = self._work.kept(f"squares-{number}")
        sums, counts = held.get(f"sums {tensor.name}"), held.get(f"counts {tensor.name}")
        if sums is None or counts is None:
            return None
        return np.divide(sums, counts[:, None], out=np.ones_like(sums), where=counts[:, None] > 0)


def _in_order(costs: Mapping[str, float], types: Sequence[str]) -> Rows:
    """Return costs in the order of the types; -1 is a type that was not measured."""
    return np.array([costs.get(name, -1) for name in types], np.float32)
