"""Instructions of LLVM for functions of vectors: each function here makes an `Emit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.typing import NDArray

from quantize_cli.simd.vector.numba_types import DOUBLES, FLOATS, INTS, MASK, Emit, VectorType
from quantize_cli.simd.vector.shape import LANES, TILE

BYTES = ir.VectorType(ir.IntType(8), LANES)
SHORTS = ir.VectorType(ir.IntType(16), LANES)
_BIT = ir.IntType(1)
_INT = ir.IntType(32)
#: The vectors that a scalar argument is spread to.
_WHOLE = {vector.scalar: vector.llvm for vector in (FLOATS, INTS)}


def _spread(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT, vector.count), None))


def _called(builder: Any, name: str, result: Any, args: Sequence[Any], **options: Any) -> Any:
    """Call the intrinsic of that name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args, **options)


# Values.


def instruction(name: str, *fixed: Any) -> Emit:
    """Make the builder's instruction of that name, with scalar arguments spread over the lanes."""

    def emit(_context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        vectors = (
            value if isinstance(kind, VectorType) else _spread(builder, value, _WHOLE[kind])
            for kind, value in zip(sig.args, args, strict=True)
        )
        return getattr(builder, name)(*fixed, *vectors)

    return emit


def clamped(compare: str) -> Emit:
    """Make the selections of a vector, or a bound, by a comparison of the builder's."""

    def emit(_context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        vector, *scalars = args
        low, high = (_spread(builder, scalar, sig.args[0].llvm) for scalar in scalars)
        raised = builder.select(getattr(builder, compare)(">", vector, low), vector, low)
        return builder.select(getattr(builder, compare)("<", raised, high), raised, high)

    return emit


def splat(vector: VectorType) -> Emit:
    """Make a vector of one scalar."""
    return lambda _context, builder, _sig, args: _spread(builder, args[0], vector.llvm)


def constant(vector: VectorType, value: Any) -> Emit:
    """Make a constant: a list of the lanes, or None for zeros."""
    return lambda _context, _builder, _sig, _args: ir.Constant(vector.llvm, value)


def conversion(name: str, target: VectorType) -> Emit:
    """Make the builder's conversion of that name."""
    return lambda _context, builder, _sig, args: getattr(builder, name)(args[0], target.llvm)


def float_function(name: str, vector: VectorType = FLOATS) -> Emit:
    """Make a call of the intrinsic of that name, from a vector of floats, or doubles, to one."""
    suffix = f"v{vector.llvm.count}f{64 if vector is DOUBLES else 32}"
    return lambda _context, builder, _sig, args: _called(builder, f"llvm.{name}.{suffix}", vector.llvm, args)


def reduction(name: str) -> Emit:
    """Make a call of the intrinsic that reduces integers so."""
    return lambda _context, builder, _sig, args: _called(builder, f"llvm.vector.reduce.{name}.v{LANES}i32", _INT, args)


def float_reduction(name: str) -> Emit:
    """Make a call of the intrinsic that reduces floats so, none of which is NaN."""
    whole = f"llvm.vector.reduce.{name}.v{LANES}f32"
    return lambda _context, builder, _sig, args: _called(builder, whole, ir.FloatType(), args, fastmath=["nnan"])


def shuffle(lanes: Sequence[int]) -> Emit:
    """Make a vector of those lanes of another."""
    return lambda _context, builder, _sig, args: _shuffled(builder, args[0], lanes)


def _shuffled(builder: Any, vector: Any, lanes: Sequence[int]) -> Any:
    places = ir.Constant(ir.VectorType(_INT, len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)


# Masks.


def _as_integer(builder: Any, mask: Any) -> Any:
    return builder.bitcast(mask, ir.IntType(mask.type.count))


def any_lane(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    """Compare the bits of a mask with 0."""
    bits = _as_integer(builder, args[0])
    return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


def lane_bits(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    """Extend the bits of a mask to an int64."""
    return builder.zext(_as_integer(builder, args[0]), ir.IntType(64))


def first_lane(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    """Count the zeros below the lowest bit of a mask that has one."""
    zeros = builder.cttz(_as_integer(builder, args[0]), ir.Constant(_BIT, 1))
    return builder.zext(zeros, ir.IntType(64))


def mask_of(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    """Take the bits of an int32 as a mask."""
    return builder.bitcast(args[0], MASK.llvm)


# Memory.


def _data(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    """Find the address of the elements of the first argument, an array."""
    return context.make_array(sig.args[0])(context, builder, args[0]).data


def _pointer(context: Any, builder: Any, sig: Any, args: Sequence[Any], vector: ir.Type) -> Any:
    """Find where in the first argument, an array, the second one, an index, points to."""
    place = builder.gep(_data(context, builder, sig, args), [args[1]])
    return builder.bitcast(place, vector.as_pointer())


def load(vector: ir.VectorType) -> Emit:
    """Make a load that is aligned to an element; of what is shorter than int32, zero-extended to it."""

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig, args, vector)
        found = builder.load(pointer, align=context.get_abi_sizeof(vector.element))
        return builder.zext(found, INTS.llvm) if vector in (BYTES, SHORTS) else found

    return emit


def store(vector: ir.VectorType) -> Emit:
    """Make a store that is aligned to an element; of the low bits where that is shorter than int32."""

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig, args, vector)
        value = builder.trunc(args[2], vector) if vector in (BYTES, SHORTS) else args[2]
        builder.store(value, pointer, align=context.get_abi_sizeof(vector.element))
        return context.get_dummy_value()

    return emit


def load_fields(lanes: NDArray[np.intp]) -> Emit:
    """Make a load of fields of bytes: the p-th of byte b, from the lowest bits on, comes into lane lanes[p, b]."""
    fields, count = lanes.shape
    place, byte = np.divmod(np.argsort(lanes, axis=None), count)
    shifts = ir.Constant(INTS.llvm, (place * (8 // fields)).tolist())
    largest = ir.Constant(INTS.llvm, [(1 << 8 // fields) - 1] * LANES)
    packed = ir.VectorType(ir.IntType(8), count)

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig, args, packed)
        found = _shuffled(builder, builder.load(pointer, align=1), byte.tolist())
        return builder.and_(builder.lshr(builder.zext(found, INTS.llvm), shifts), largest)

    return emit


def store_fields(lanes: NDArray[np.intp]) -> Emit:
    """Make the inverse of `load_fields`, for lanes that fit their fields."""
    fields, count = lanes.shape
    packed = ir.VectorType(ir.IntType(8), count)

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        total = _shuffled(builder, args[2], lanes[0].tolist())
        for place in range(1, fields):
            field = _shuffled(builder, args[2], lanes[place].tolist())
            shift = ir.Constant(field.type, [8 // fields * place] * count)
            total = builder.or_(total, builder.shl(field, shift))
        pointer = _pointer(context, builder, sig, args, packed)
        builder.store(builder.trunc(total, packed), pointer, align=1)
        return context.get_dummy_value()

    return emit


#: Elements of a register among which AVX2 shuffles at full speed.
_PART = 4


def move_transposed(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    """Load the parts of the rows, exchange elements between registers in two steps, and store the columns."""
    _, start, stride, target, at = args
    data = _data(context, builder, sig, args)
    out = context.make_array(sig.args[3])(context, builder, target).data
    part, column = (ir.VectorType(ir.FloatType(), count) for count in (_PART, TILE))

    def part_of(row: int, first: int) -> Any:
        place = builder.add(builder.add(start, builder.mul(stride, ir.Constant(stride.type, row))), start.type(first))
        return builder.load(builder.bitcast(builder.gep(data, [place]), part.as_pointer()), align=4)

    def mixed(one: Any, other: Any, places: Sequence[int]) -> Any:
        return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INT, len(places)), list(places)))

    for first in range(0, TILE, _PART):
        # Register r: row r, and behind it row r + 4.
        rows = [mixed(part_of(r, first), part_of(r + _PART, first), range(TILE)) for r in range(_PART)]
        low = [mixed(rows[r], rows[r + 1], (0, 8, 1, 9, 4, 12, 5, 13)) for r in (0, 2)]
        high = [mixed(rows[r], rows[r + 1], (2, 10, 3, 11, 6, 14, 7, 15)) for r in (0, 2)]
        columns = [
            mixed(one, other, places)
            for one, other in (low, high)
            for places in ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))
        ]
        for number, held in enumerate(columns, first):
            place = builder.add(at, at.type(number * LANES))
            builder.store(held, builder.bitcast(builder.gep(out, [place]), column.as_pointer()), align=4)
    return context.get_dummy_value()


def load_mask(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    """Load a bit a lane."""
    pointer = _pointer(context, builder, sig, args, ir.IntType(LANES))
    return builder.bitcast(builder.load(pointer, align=1), MASK.llvm)


def store_mask(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    """Store a bit a lane."""
    pointer = _pointer(context, builder, sig, args, ir.IntType(LANES))
    builder.store(_as_integer(builder, args[2]), pointer, align=1)
    return context.get_dummy_value()


class _Addresses(ir.Instruction):  # type: ignore[misc]
    """The addresses data + places * size: llvmlite's own getelementptr knows no vectors of places.

    Added up as integers instead, they are 64 bits wide to the end, and a gather is cut into twice as many.
    """

    def __init__(self, block: Any, data: Any, places: Any) -> None:
        super().__init__(block, ir.VectorType(data.type, LANES), "getelementptr", [data, places])

    def descr(self, buf: list[str]) -> None:
        data, places = self.operands
        kind = data.type.pointee
        buf.append(
            f"getelementptr {kind}, {data.type} {data.get_reference()}, {places.type} {places.get_reference()}\n"
        )


def gather(vector: VectorType, suffix: str) -> Emit:
    """Make a gather of a vector that LLVM's names end with `suffix`."""

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointers = _Addresses(builder.block, _data(context, builder, sig, args), args[1])
        builder._insert(pointers)
        align = ir.Constant(_INT, context.get_abi_sizeof(vector.llvm.element))
        everywhere = ir.Constant(MASK.llvm, [1] * LANES)
        name = f"llvm.masked.gather.v{LANES}{suffix}.v{LANES}p0"
        unused = ir.Constant(vector.llvm, ir.Undefined)
        return _called(builder, name, vector.llvm, [pointers, align, everywhere, unused])

    return emit
