"""The vector types of Numba's compiler, and how it learns what a function of vectors compiles to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global

from quantize_cli.simd.vector.shape import LANES, NARROW, SUMMED


class VectorType(types.Type):
    """The compiler's type of a vector: LANES, or fewer, elements of a scalar type."""

    def __init__(self, scalar: types.Type, element: ir.Type, lanes: int = LANES) -> None:
        self.scalar = scalar
        self.llvm = ir.VectorType(element, lanes)
        super().__init__(name=f"Vector({scalar}, {lanes})")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: VectorType) -> None:
        super().__init__(manager, vector, vector.llvm)


FLOATS = VectorType(types.float32, ir.FloatType())
INTS = VectorType(types.int32, ir.IntType(32))
MASK = VectorType(types.boolean, ir.IntType(1))
NARROW_FLOATS = VectorType(types.float32, ir.FloatType(), NARROW)
NARROW_INTS = VectorType(types.int32, ir.IntType(32), NARROW)
NARROW_MASK = VectorType(types.boolean, ir.IntType(1), NARROW)
SUMMED_FLOATS = VectorType(types.float32, ir.FloatType(), SUMMED)
SUMMED_MASK = VectorType(types.boolean, ir.IntType(1), SUMMED)
DOUBLES = VectorType(types.float64, ir.DoubleType(), SUMMED)

#: What builds the instructions of a call: of (context, builder, signature, arguments), the value of the result.
Emit: TypeAlias = Callable[[Any, Any, Any, Sequence[Any]], Any]


class Rule(NamedTuple):
    """Calls of `function` with one of these signatures compile to what `emit` builds."""

    function: Callable[..., Any]
    emit: Emit
    signatures: tuple[Any, ...]


def register(rule: Rule) -> None:
    """Teach the compiler a rule."""

    class Template(AbstractTemplate):
        key = rule.function

        def generic(self, args: Sequence[Any], kws: Any) -> Any:
            return next((held for held in rule.signatures if not kws and _fits(held.args, args)), None)

    infer_global(rule.function)(Template)
    for held in rule.signatures:
        argument_types = (type(a) if isinstance(a, types.Array) else a for a in held.args)
        lower_builtin(rule.function, *argument_types)(rule.emit)


def _fits(wanted: Sequence[Any], found: Sequence[Any]) -> bool:
    return len(wanted) == len(found) and all(map(_fits_one, wanted, found))


def _fits_one(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, types.Array):
        return isinstance(found, types.Array) and (found.dtype, found.ndim, found.layout) == (wanted.dtype, 1, "C")
    if wanted == types.intp:
        return isinstance(found, types.Integer)
    return bool(wanted == found)
