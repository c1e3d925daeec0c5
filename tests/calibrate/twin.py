"""A slow twin of the measurement: hooks on a whole model, autograd, and the formulas as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from engine import logits_of, lost
from torch import nn

from quantize_cli.blocks.table import BLOCK_TYPES

#: Last names of modules that transformers' models have -> GGUF names.
_LINEAR = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


@dataclass
class Matrix:
    """One matrix of a block, that of one expert where there are several."""

    tensor: str  #: GGUF name
    expert: int
    parameter: nn.Parameter
    rows: Any = ...  #: which part of the parameter it is
    inputs: list[torch.Tensor] = field(default_factory=list)

    @property
    def weights(self) -> np.ndarray:
        """Return float32[rows, columns]; a quantized row depends on that row alone, so their order does not matter."""
        return self.parameter.detach()[self.rows].numpy()

    @property
    def gradient(self) -> np.ndarray:
        """Return the gradient that the last backward pass has left, float64[rows, columns]."""
        held = self.parameter.grad
        return np.zeros(self.weights.shape) if held is None else held[self.rows].double().numpy()

    @property
    def squares(self) -> tuple[np.ndarray, int]:
        """Return the sums of the squares of its inputs, and the number of these."""
        columns = self.weights.shape[1]
        seen = torch.cat([torch.zeros(0, columns), *(held.reshape(-1, columns) for held in self.inputs)]).double()
        return seen.square().sum(0).numpy(), len(seen)


def watched(model: Any, hooks: ExitStack) -> list[Matrix]:
    """Return the matrices of all blocks, whose inputs are noted until the stack is closed."""
    found = []
    for number, layer in enumerate(model.get_decoder().layers):
        for name, module in layer.named_modules():
            last = name.rpartition(".")[2]
            if isinstance(module, nn.Linear):
                matrices = [Matrix(f"blk.{number}.{_LINEAR[last]}.weight", 0, module.weight)]
                hooks.callback(module.register_forward_pre_hook(_to(matrices[0])).remove)
            elif name == "mlp.gate":  # the router
                matrices = [Matrix(f"blk.{number}.ffn_gate_inp.weight", 0, module.weight)]
                hooks.callback(module.register_forward_pre_hook(_to(matrices[0])).remove)
            elif last == "experts":
                matrices = _experts(number, module)
                hooks.callback(module.register_forward_pre_hook(_to_experts(module, matrices)).remove)
            else:
                continue
            found += matrices
    return found


def costs(
    model: Any,
    tokens: torch.Tensor,
    labels: Sequence[torch.Tensor],
    changes: Sequence[tuple[Matrix, str, np.ndarray]],
) -> dict[str, dict[str, float]]:
    """Return GGUF name -> type -> 1 / (2 N) * sum over sequences and rows of (sum_j G_rj D_rj)^2.

    Args:
        model: The whole model.
        tokens: int64[sequences, context].
        labels: The labels of each sequence.
        changes: Matrices, types, and what storing the one in the other changes.
    """
    found: dict[str, dict[str, float]] = {matrix.tensor: {} for matrix, _, _ in changes}
    for sequence, drawn in zip(tokens, labels, strict=True):
        lost(model, sequence, drawn).backward()
        for matrix, name, change in changes:
            cost = float(np.square((matrix.gradient * change).sum(1)).sum()) / (2 * tokens.numel())
            found[matrix.tensor][name] = found[matrix.tensor].get(name, 0.0) + cost
    return found


def vocabulary_costs(
    model: Any, tokens: torch.Tensor, labels: Sequence[torch.Tensor], name: str
) -> tuple[float, float]:
    """Return what a type costs in the embedding and in the output matrix, whether or not they are one."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    first = changed(embedding.weight.detach().numpy(), name).astype(np.float64)
    last = changed(head.weight.detach().numpy(), name).astype(np.float64)
    of_rows: list[np.ndarray] = []
    inputs: list[np.ndarray] = []
    of_logits: list[np.ndarray] = []
    scale = float(getattr(embedding, "embed_scale", 1))  # by which Gemma's module multiplies the rows

    def looked_up(_module: Any, _inputs: Any, made: torch.Tensor) -> torch.Tensor:
        rows = made.detach().requires_grad_()
        rows.register_hook(lambda held: of_rows.append(scale * held[0].double().numpy()))
        return rows.clone()

    def multiplied(_module: Any, given: Any, made: torch.Tensor) -> None:
        inputs.append(given[0].detach().reshape(-1, given[0].shape[-1]).double().numpy())
        made.register_hook(lambda held: of_logits.append(held.reshape(-1, held.shape[-1]).double().numpy()))

    with ExitStack() as hooks:
        hooks.callback(embedding.register_forward_hook(looked_up).remove)
        hooks.callback(head.register_forward_hook(multiplied).remove)
        for sequence, drawn in zip(tokens, labels, strict=True):
            lost(model, sequence, drawn).backward()
    total = 0.0
    for sequence, rows in zip(tokens.numpy(), of_rows, strict=True):
        for token in np.unique(sequence):
            total += float(first[token] @ rows[sequence == token].sum(0)) ** 2
    hidden, gradients = np.concatenate(inputs), np.concatenate(of_logits)
    weights = np.square(gradients).sum(1)
    hessian = np.einsum("t,ti,tj->ij", weights, hidden, hidden) / weights.sum()
    along = np.einsum("ri,ij,rj->r", last, hessian, last)
    return total / (2 * tokens.numel()), float(along @ np.square(gradients).sum(0)) / (2 * tokens.numel())


def run(model: Any, tokens: torch.Tensor) -> list[Matrix]:
    """Return the matrices of all blocks with what they are multiplied by."""
    with ExitStack() as hooks:
        matrices = watched(model, hooks)
        logits_of(model, tokens)
    return matrices


def changed(weights: np.ndarray, name: str, importance: np.ndarray | None = None) -> np.ndarray:
    """Return what storing weights float32[rows, columns] in a type changes."""
    held, weights = BLOCK_TYPES[name], np.ascontiguousarray(weights)
    packed, restored = np.empty((len(weights), held.row_bytes(weights.shape[1])), np.uint8), np.empty_like(weights)
    held.quantize(weights, packed, importance)
    held.dequantize(packed, restored)
    return restored - weights


def _experts(number: int, module: Any) -> list[Matrix]:
    width = module.down_proj.shape[2]
    parts = {
        "gate": (module.gate_up_proj, slice(0, width)),
        "up": (module.gate_up_proj, slice(width, 2 * width)),
        "down": (module.down_proj, slice(None)),
    }
    return [
        Matrix(f"blk.{number}.ffn_{part}_exps.weight", expert, parameter, (expert, rows))
        for part, (parameter, rows) in parts.items()
        for expert in range(module.num_experts)
    ]


def _to(matrix: Matrix) -> Any:
    return lambda _module, inputs: matrix.inputs.append(inputs[0].detach())


def _to_experts(module: Any, matrices: Sequence[Matrix]) -> Any:
    by_place = {(matrix.tensor.split("_")[1], matrix.expert): matrix for matrix in matrices}

    def hook(_module: Any, inputs: Any) -> None:
        hidden, chosen = inputs[0].detach(), inputs[1]
        for expert in range(module.num_experts):
            given = hidden[(chosen == expert).any(1)]
            gate, up = (
                given @ by_place[part, expert].parameter.detach()[by_place[part, expert].rows].T
                for part in ("gate", "up")
            )
            for part, held in (("gate", given), ("up", given), ("down", module.act_fn(gate) * up)):
                by_place[part, expert].inputs.append(held)

    return hook
