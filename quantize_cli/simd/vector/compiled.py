"""What Numba's compiler makes of functions and operators of vectors: the table of all rules.

Each is what NumPy does (`memory.py`, `values.py`), as instructions of LLVM. Nothing is contracted or reassociated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numba.core import types
from numba.core.typing.templates import signature

from quantize_cli.simd.vector import emit, memory, values
from quantize_cli.simd.vector.numba_types import (
    DOUBLES,
    FLOATS,
    INTS,
    MASK,
    NARROW_FLOATS,
    NARROW_INTS,
    NARROW_MASK,
    SUMMED_FLOATS,
    SUMMED_MASK,
    Emit,
    Rule,
    VectorType,
    register,
)
from quantize_cli.simd.vector.shape import LANES


def _pairs(result: VectorType, vector: VectorType) -> tuple[Any, ...]:
    """List the signatures of an operator between two vectors, or a vector and a scalar."""
    sides = ((vector, vector), (vector, vector.scalar), (vector.scalar, vector))
    return tuple(signature(result, *side) for side in sides)


def _with_assignment(name: str, built: Emit, signatures: tuple[Any, ...]) -> Iterator[Rule]:
    """Make the rules of a + b and a += b."""
    yield Rule(getattr(operator, name), built, signatures)
    yield Rule(getattr(operator, f"i{name.rstrip('_')}"), built, signatures)


def _arithmetic() -> Iterator[Rule]:
    for name, instruction in {"add": "fadd", "sub": "fsub", "mul": "fmul", "truediv": "fdiv"}.items():
        yield from _with_assignment(name, emit.instruction(instruction), _pairs(FLOATS, FLOATS))
    for name, instruction in {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "and_": "and_",
        "or_": "or_",
        "xor": "xor",
        "lshift": "shl",
        "rshift": "ashr",
    }.items():
        yield from _with_assignment(name, emit.instruction(instruction), _pairs(INTS, INTS))
    yield Rule(operator.neg, emit.instruction("fneg"), (signature(FLOATS, FLOATS),))
    yield Rule(operator.neg, emit.instruction("neg"), (signature(INTS, INTS),))


def _comparisons() -> Iterator[Rule]:
    for name, symbol in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}.items():
        yield Rule(getattr(operator, name), emit.instruction("fcmp_ordered", symbol), _pairs(MASK, FLOATS))
        yield Rule(getattr(operator, name), emit.instruction("icmp_signed", symbol), _pairs(MASK, INTS))
    yield Rule(operator.ne, emit.instruction("fcmp_unordered", "!="), _pairs(MASK, FLOATS))
    yield Rule(operator.ne, emit.instruction("icmp_signed", "!="), _pairs(MASK, INTS))


def _masks() -> Iterator[Rule]:
    for name in ("and_", "or_", "xor"):
        yield Rule(getattr(operator, name), emit.instruction(name), (signature(MASK, MASK, MASK),))
    yield Rule(operator.invert, emit.instruction("not_"), (signature(MASK, MASK), signature(INTS, INTS)))


def _selections() -> Iterator[Rule]:
    for vector in (FLOATS, INTS):
        sides = (held.args for held in _pairs(vector, vector))
        signatures = tuple(signature(vector, MASK, *side) for side in sides)
        yield Rule(values.select, emit.instruction("select"), signatures)
    yield Rule(values.select, emit.instruction("select"), (signature(MASK, MASK, MASK, MASK),))


def _loads_and_stores() -> Iterator[Rule]:
    for load, store, built, vector, scalar in (
        (memory.load, memory.store, FLOATS.llvm, FLOATS, types.float32),
        (memory.load_ints, memory.store_ints, INTS.llvm, INTS, types.int32),
        (memory.load_bytes, memory.store_bytes, emit.BYTES, INTS, types.uint8),
        (memory.load_shorts, memory.store_shorts, emit.SHORTS, INTS, types.uint16),
    ):
        yield _loading(load, emit.load(built), vector, scalar)
        yield _storing(store, emit.store(built), vector, scalar)
    halves, quads = np.arange(LANES).reshape(2, -1), np.arange(LANES).reshape(-1, 4).T
    for load, store, lanes in (
        (memory.load_nibbles, memory.store_nibbles, halves),
        (memory.load_crumbs, memory.store_crumbs, quads),
    ):
        yield _loading(load, emit.load_fields(lanes), INTS, types.uint8)
        yield _storing(store, emit.store_fields(lanes), INTS, types.uint8)
    yield _loading(memory.load_mask, emit.load_mask, MASK, types.uint8)
    yield _storing(memory.store_mask, emit.store_mask, MASK, types.uint8)


def _loading(function: Callable[..., Any], built: Emit, vector: VectorType, scalar: types.Type) -> Rule:
    return Rule(function, built, (signature(vector, _array(scalar), types.intp),))


def _storing(function: Callable[..., Any], built: Emit, vector: VectorType, scalar: types.Type) -> Rule:
    return Rule(function, built, (signature(types.none, _array(scalar), types.intp, vector),))


def _array(scalar: types.Type) -> types.Array:
    return types.Array(scalar, 1, "C")


def _function(function: Callable[..., Any], built: Emit, result: Any, *args: Any) -> Rule:
    return Rule(function, built, (signature(result, *args),))


_FUNCTIONS = (
    _function(
        memory.move_transposed,
        emit.move_transposed,
        types.none,
        _array(types.float32),
        types.intp,
        types.intp,
        _array(types.float32),
        types.intp,
    ),
    _function(memory.gather, emit.gather(FLOATS, "f32"), FLOATS, _array(types.float32), INTS),
    _function(memory.gather_ints, emit.gather(INTS, "i32"), INTS, _array(types.int32), INTS),
    _function(values.splat, emit.splat(FLOATS), FLOATS, types.float32),
    _function(values.splat_int, emit.splat(INTS), INTS, types.int32),
    _function(values.lane_numbers, emit.constant(INTS, list(range(LANES))), INTS),
    _function(values.nowhere, emit.constant(MASK, None), MASK),
    _function(values.mask_of, emit.mask_of, MASK, types.int32),
    _function(
        values.middle_swapped,
        emit.shuffle(values.middle_swapped(np.arange(LANES, dtype=np.int32)).tolist()),
        INTS,
        INTS,
    ),
    _function(values.clamped, emit.clamped("fcmp_ordered"), FLOATS, FLOATS, types.float32, types.float32),
    _function(values.clamped, emit.clamped("icmp_signed"), INTS, INTS, types.int32, types.int32),
    _function(values.any_lane, emit.any_lane, types.boolean, MASK),
    _function(values.first_lane, emit.first_lane, types.int64, MASK),
    _function(values.lane_bits, emit.lane_bits, types.int64, MASK),
    _function(values.max_lane, emit.reduction("smax"), types.int32, INTS),
    _function(values.min_lane, emit.reduction("smin"), types.int32, INTS),
    _function(values.largest, emit.float_reduction("fmax"), types.float32, FLOATS),
    _function(values.smallest, emit.float_reduction("fmin"), types.float32, FLOATS),
    _function(values.nearest, emit.float_function("nearbyint"), FLOATS, FLOATS),
    _function(values.magnitude, emit.float_function("fabs"), FLOATS, FLOATS),
    _function(values.square_root, emit.float_function("sqrt"), FLOATS, FLOATS),
    _function(values.to_ints, emit.conversion("fptosi", INTS), INTS, FLOATS),
    _function(values.to_floats, emit.conversion("sitofp", FLOATS), FLOATS, INTS),
    _function(values.bits_of, emit.conversion("bitcast", INTS), INTS, FLOATS),
    _function(values.from_bits, emit.conversion("bitcast", FLOATS), FLOATS, INTS),
)


def _narrow() -> Iterator[Rule]:
    yield from _of_fewer_lanes(NARROW_FLOATS, NARROW_MASK)
    yield _function(values.select, emit.instruction("select"), NARROW_INTS, NARROW_MASK, NARROW_INTS, NARROW_INTS)
    first = emit.shuffle(range(NARROW_FLOATS.llvm.count))
    yield Rule(values.narrow, first, (signature(NARROW_FLOATS, FLOATS), signature(NARROW_INTS, INTS)))
    yield _loading(memory.load_narrow, emit.load(NARROW_FLOATS.llvm), NARROW_FLOATS, types.float32)
    yield _storing(memory.store_narrow, emit.store(NARROW_FLOATS.llvm), NARROW_FLOATS, types.float32)
    yield _storing(memory.store_narrow_ints, emit.store(NARROW_INTS.llvm), NARROW_INTS, types.int32)


def _summed() -> Iterator[Rule]:
    yield from _of_fewer_lanes(SUMMED_FLOATS, SUMMED_MASK)
    yield from _of_fewer_lanes(DOUBLES, SUMMED_MASK)
    yield _function(operator.or_, emit.instruction("or_"), SUMMED_MASK, SUMMED_MASK, SUMMED_MASK)
    yield _function(values.any_lane, emit.any_lane, types.boolean, SUMMED_MASK)
    yield _function(values.splat_summed, emit.splat(SUMMED_FLOATS), SUMMED_FLOATS, types.float32)
    yield _function(values.magnitude, emit.float_function("fabs", SUMMED_FLOATS), SUMMED_FLOATS, SUMMED_FLOATS)
    yield _function(values.wide_magnitude, emit.float_function("fabs", DOUBLES), DOUBLES, DOUBLES)
    yield _function(values.widened, emit.conversion("fpext", DOUBLES), DOUBLES, SUMMED_FLOATS)
    yield _loading(memory.load_summed, emit.load(SUMMED_FLOATS.llvm), SUMMED_FLOATS, types.float32)
    yield _loading(memory.load_doubles, emit.load(DOUBLES.llvm), DOUBLES, types.float64)
    yield _storing(memory.store_doubles, emit.store(DOUBLES.llvm), DOUBLES, types.float64)


def _of_fewer_lanes(vector: VectorType, mask: VectorType) -> Iterator[Rule]:
    """Make the rules of what such vectors, without scalars, have in common."""
    for name, instruction in {"add": "fadd", "sub": "fsub", "mul": "fmul"}.items():
        yield from _with_assignment(name, emit.instruction(instruction), (signature(vector, vector, vector),))
    for compare, symbol in {operator.lt: "<", operator.gt: ">"}.items():
        yield _function(compare, emit.instruction("fcmp_ordered", symbol), mask, vector, vector)
    yield _function(values.select, emit.instruction("select"), vector, mask, vector, vector)


_RULES = (
    _arithmetic(),
    _comparisons(),
    _masks(),
    _selections(),
    _loads_and_stores(),
    _FUNCTIONS,
    _narrow(),
    _summed(),
)
for _rule in chain(*_RULES):
    register(_rule)
