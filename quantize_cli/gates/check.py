"""What becomes of gates: before a run, as far as the plan tells, and after it, from what it measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quantize_cli.errors import GateError, UsageError, listed, printable
from quantize_cli.gates.kinds import Measured
from quantize_cli.gates.parse import Gate
from quantize_cli.gates.result import GateResult
from quantize_cli.measure.errors import error_from_sums
from quantize_cli.measure.sums import Sums
from quantize_cli.planning.model import Plan


def check_before(gates: Sequence[Gate], plans: Sequence[Plan], *, keep_failed: bool) -> None:
    """Refuse what headers tell already; with `keep_failed`, the run goes on, and `refuse_failed` follows it.

    Raises:
        UsageError: No tensor matches a gate's pattern, so that the gate would check nothing.
        GateError: A size is beyond its limit.
    """
    results = {plan.format: judge(gates, plan, None) for plan in plans}
    if not keep_failed:
        refuse_failed(results, kept=False)


def judge(gates: Sequence[Gate], plan: Plan, sums: Sums | None) -> tuple[GateResult, ...]:
    """Return what became of each gate.

    Args:
        gates: The gates.
        plan: The plan.
        sums: The error sums of its tensors, float64[tensors, SUMS]. None is for a run that has not begun; then gates
            on errors have no results.

    Raises:
        UsageError: No tensor matches a gate's pattern.
    """
    found = (_result(gate, plan, sums) for gate in gates)
    return tuple(result for result in found if result is not None)


def refuse_failed(results: Mapping[str, Sequence[GateResult]], *, kept: bool) -> None:
    """Refuse a run that fails a gate; `results` has what became of the gates of each format.

    Raises:
        GateError: It names each gate that fails, with the tensor, the value and the limit.
    """
    failed = [
        f"{name} fails {result.gate}, {_sentence(result)}"
        for name, of_format in results.items()
        for result in of_format
        if not result.passed
    ]
    if failed:
        end = "the files are kept" if kept else "no file is kept; choose another format or limit, or --keep-failed"
        raise GateError(f"{printable(listed(failed))}; {end}.")


def _result(gate: Gate, plan: Plan, sums: Sums | None) -> GateResult | None:
    kind, subjects = gate.kind, _subjects(gate, plan, sums)
    values = {name: value for name, measured in subjects.items() if (value := kind.value(measured)) is not None}
    if not values:
        return None
    beyond = sum(not kind.passes(value, gate.limit) for value in values.values())
    worst = (min if kind.least else max)(values, key=lambda name: values[name])
    return GateResult(str(gate), gate.limit, values[worst], kind.show(values[worst]), worst, beyond, not beyond)


def _subjects(gate: Gate, plan: Plan, sums: Sums | None) -> dict[str | None, Measured]:
    """Return what the gate looks at: the tensors that match by their names, or the model, whose name is None."""
    if gate.pattern is None:
        return {None: Measured(plan.file_bytes, None if sums is None else error_from_sums(sums, plan.weights))}
    subjects: dict[str | None, Measured] = {
        tensor.name: Measured(tensor.nbytes, None if sums is None else error_from_sums(sums[[index]], tensor.weights))
        for index, tensor in enumerate(plan.tensors)
        if gate.pattern.search(tensor.name)
    }
    if not subjects:
        raise UsageError(f"No tensor of {plan.model} matches the pattern of {gate}; correct it.")
    return subjects


def _sentence(result: GateResult) -> str:
    more = result.beyond - 1
    others = f", and {more:,} more tensor{'s are' if more > 1 else ' is'} beyond it" if more > 0 else ""
    return f"because {result.tensor or 'the model'} has {result.shown}{others}"
