"""Values of LANES lanes at once: a vector type for kernels, with the operators of NumPy arrays of that length.

The reference's sums run in element order, so a kernel is made fast by walking many blocks side by side: lane l of every
vector belongs to block l. To the compiler a vector is one value, `<32 x float>` in LLVM, which it lays out over the
registers of the machine at hand (two of AVX-512, four of AVX2, eight of SSE or NEON): no loop has to be recognised and
vectorised, so the machine code does not hang on how a loop is written, and it is compiled in a tenth of the time.

Without Numba's compiler (NUMBA_DISABLE_JIT) every function below is what it says in NumPy, on arrays of LANES elements;
compiled, the same names are LLVM instructions. Nothing is contracted or reassociated. Indices are neither wrapped nor
checked: vectors are read and written where the caller knows that LANES elements are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.typing import templates
from numba.core.typing.templates import AbstractTemplate, infer_global
from numpy.typing import NDArray

#: Lanes of a vector. 16 leave the latency of additions exposed, 64 spill registers where they are 256 bits wide.
LANES = 32

#: Lanes of a narrow vector, for loops in which few lanes count: these know only what is registered for them below.
NARROW = 16

#: float32[LANES], int32[LANES] and bool[LANES]; or of NARROW lanes.
Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Mask: TypeAlias = NDArray[np.bool_]
#: float64[LANES], for measuring errors; kernels compute in float32.
Doubles: TypeAlias = NDArray[np.float64]

_CRUMB_SHIFTS = np.array([0, 2, 4, 6], np.int32)


# What a kernel calls, as NumPy does it.


def load(values: NDArray[np.float32], start: int) -> Floats:
    """values[start : start + LANES], C-contiguous."""
    return values[start : start + LANES].copy()


def store(values: NDArray[np.float32], start: int, vector: Floats) -> None:
    """values[start : start + LANES] = vector."""
    values[start : start + LANES] = vector


def load_ints(values: NDArray[np.int32], start: int) -> Ints:
    """values[start : start + LANES], C-contiguous."""
    return values[start : start + LANES].copy()


def store_ints(values: NDArray[np.int32], start: int, vector: Ints) -> None:
    """values[start : start + LANES] = vector."""
    values[start : start + LANES] = vector


def load_bytes(values: NDArray[np.uint8], start: int) -> Ints:
    """values[start : start + LANES], zero-extended."""
    return values[start : start + LANES].astype(np.int32)


def load_narrow(values: NDArray[np.float32], start: int) -> Floats:
    """values[start : start + NARROW], C-contiguous."""
    return values[start : start + NARROW].copy()


def store_narrow_ints(values: NDArray[np.int32], start: int, vector: Ints) -> None:
    """values[start : start + NARROW] = vector, a narrow one."""
    values[start : start + NARROW] = vector


def narrow(vector: Any) -> Any:
    """The first NARROW lanes."""
    return vector[:NARROW]


def store_bytes(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """Store the low byte of each lane."""
    values[start : start + LANES] = (vector & 0xFF).astype(np.uint8)


def load_shorts(values: NDArray[np.uint16], start: int) -> Ints:
    """values[start : start + LANES], zero-extended."""
    return values[start : start + LANES].astype(np.int32)


def store_shorts(values: NDArray[np.uint16], start: int, vector: Ints) -> None:
    """Store the low 16 bits of each lane."""
    values[start : start + LANES] = (vector & 0xFFFF).astype(np.uint16)


def load_nibbles(values: NDArray[np.uint8], start: int) -> Ints:
    """LANES / 2 bytes from `start` on: their low 4 bits in the first half of the lanes, the high ones in the second."""
    packed = values[start : start + LANES // 2].astype(np.int32)
    return np.concatenate([packed & 15, packed >> 4])


def store_nibbles(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """The inverse of `load_nibbles`, for lanes 0..15."""
    low, high = np.split(vector, 2)
    values[start : start + LANES // 2] = (low | high << 4).astype(np.uint8)


def load_crumbs(values: NDArray[np.uint8], start: int) -> Ints:
    """LANES / 4 bytes from `start` on: the pairs of bits of each, from the lowest on, in four neighbouring lanes."""
    packed = values[start : start + LANES // 4].astype(np.int32)
    return (packed[:, None] >> _CRUMB_SHIFTS & 3).reshape(LANES)


def store_crumbs(values: NDArray[np.uint8], start: int, vector: Ints) -> None:
    """The inverse of `load_crumbs`, for lanes 0..3."""
    shifted = vector.reshape(-1, 4) << _CRUMB_SHIFTS
    values[start : start + LANES // 4] = np.bitwise_or.reduce(shifted, axis=1).astype(np.uint8)


def load_mask(values: NDArray[np.uint8], start: int) -> Mask:
    """LANES / 8 bytes from `start` on, a bit a lane, the lowest first."""
    return np.unpackbits(values[start : start + LANES // 8], bitorder="little").astype(np.bool_)


def store_mask(values: NDArray[np.uint8], start: int, mask: Mask) -> None:
    """The inverse of `load_mask`."""
    values[start : start + LANES // 8] = np.packbits(mask, bitorder="little")


def gather(values: NDArray[np.float32], places: Ints) -> Floats:
    """values[places]."""
    return values[places]


def gather_ints(values: NDArray[np.int32], places: Ints) -> Ints:
    """values[places]."""
    return values[places]


def splat(value: np.float32) -> Floats:
    """The same value in every lane."""
    return np.full(LANES, value, np.float32)


def splat_int(value: np.int32) -> Ints:
    """The same value in every lane."""
    return np.full(LANES, value, np.int32)


def lane_numbers() -> Ints:
    """0, 1, 2 ... in the lanes."""
    return np.arange(LANES, dtype=np.int32)


def nowhere() -> Mask:
    """A mask that is set in no lane."""
    return np.zeros(LANES, np.bool_)


def select(mask: Mask, chosen: Any, other: Any) -> Any:
    """In each lane `chosen` where `mask` is set, else `other`; one of them may be a scalar."""
    return np.where(mask, chosen, other)


def any_lane(mask: Mask) -> bool:
    """Whether the mask is set in any lane."""
    return bool(mask.any())


def lane_bits(mask: Mask) -> np.int64:
    """The mask as an integer: lane 0 is the lowest bit."""
    return np.int64(np.packbits(mask, bitorder="little").view("<u4")[0])


def max_lane(vector: Ints) -> np.int32:
    """The largest of the lanes."""
    return np.int32(vector.max())


def min_lane(vector: Ints) -> np.int32:
    """The smallest of the lanes."""
    return np.int32(vector.min())


def middle_swapped(vector: Ints) -> Ints:
    """Of the four quarters of the lanes the second and the third change places."""
    return vector.reshape(2, 2, -1).swapaxes(0, 1).reshape(LANES)


def first_lane(mask: Mask) -> int:
    """The number of the first lane in which the mask is set; it must be in one."""
    return int(mask.argmax())


def mask_of(bits: np.int32) -> Mask:
    """Set in lane l where bit l of `bits` is."""
    return cast("Mask", (int(bits) >> np.arange(LANES)) & 1 == 1)


def smallest(vector: Floats) -> np.float32:
    """The smallest value in any lane, of which none is NaN."""
    return cast("np.float32", vector.min())


def nearest(vector: Floats) -> Floats:
    """Rounded to the nearest integer, ties to even."""
    return cast("Floats", np.rint(vector))


def truncated(vector: Floats) -> Floats:
    """Rounded towards zero."""
    return np.trunc(vector)


def magnitude(vector: Floats) -> Floats:
    """Absolute value: the sign bit cleared."""
    return np.abs(vector)


def square_root(vector: Floats) -> Floats:
    """Correctly rounded."""
    return np.sqrt(vector)


def to_ints(vector: Floats) -> Ints:
    """Truncated to integers; every lane must be within int32's range."""
    return vector.astype(np.int32)


def to_floats(vector: Ints) -> Floats:
    """Rounded to float32."""
    return vector.astype(np.float32)


def bits_of(vector: Floats) -> Ints:
    """The bits of each float32."""
    return vector.view(np.int32)


def from_bits(vector: Ints) -> Floats:
    """The float32 of those bits."""
    return vector.view(np.float32)


def widened(vector: Floats) -> Doubles:
    """As float64."""
    return vector.astype(np.float64)


def load_doubles(values: NDArray[np.float64], start: int) -> Doubles:
    """values[start : start + LANES], C-contiguous."""
    return values[start : start + LANES].copy()


def store_doubles(values: NDArray[np.float64], start: int, vector: Doubles) -> None:
    """values[start : start + LANES] = vector."""
    values[start : start + LANES] = vector


# The same for Numba's compiler.


class _VectorType(types.Type):
    """The compiler's type of a vector: LANES, or fewer, elements of a scalar type."""

    def __init__(self, scalar: types.Type, element: ir.Type, lanes: int = LANES) -> None:
        self.scalar = scalar
        self.llvm = ir.VectorType(element, lanes)
        super().__init__(name=f"Vector({scalar}, {lanes})")


_FLOATS = _VectorType(types.float32, ir.FloatType())
_DOUBLES = _VectorType(types.float64, ir.DoubleType())
_INTS = _VectorType(types.int32, ir.IntType(32))
_MASK = _VectorType(types.boolean, ir.IntType(1))
_BYTES = ir.VectorType(ir.IntType(8), LANES)
_SHORTS = ir.VectorType(ir.IntType(16), LANES)
_NARROW_FLOATS = _VectorType(types.float32, ir.FloatType(), NARROW)
_NARROW_INTS = _VectorType(types.int32, ir.IntType(32), NARROW)
_NARROW_MASK = _VectorType(types.boolean, ir.IntType(1), NARROW)

_Emit: TypeAlias = Callable[[Any, Any, Any, Sequence[Any]], Any]


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: _VectorType) -> None:
        super().__init__(manager, vector, vector.llvm)


def _signature(result: Any, *args: Any) -> Any:
    return templates.signature(result, *args)


def _register(function: Callable[..., Any], emit: _Emit, *signatures: Any) -> None:
    """Compile calls of `function` with these signatures to what `emit` builds."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Sequence[Any], kws: Any) -> Any:
            return next((s for s in signatures if not kws and _fits(s.args, args)), None)

    infer_global(function)(Template)
    for held in signatures:
        lower_builtin(function, *(type(a) if isinstance(a, types.Array) else a for a in held.args))(emit)


def _fits(wanted: Sequence[Any], found: Sequence[Any]) -> bool:
    return len(wanted) == len(found) and all(map(_fits_one, wanted, found))


def _fits_one(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, types.Array):
        return isinstance(found, types.Array) and (found.dtype, found.ndim, found.layout) == (wanted.dtype, 1, "C")
    if wanted == types.intp:
        return isinstance(found, types.Integer)
    return bool(wanted == found)


def _splat(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(first, undefined, zeros)


def _vectors(builder: Any, sig: Any, args: Sequence[Any]) -> list[Any]:
    """The arguments with scalars spread over the lanes."""
    whole = {_FLOATS.scalar: _FLOATS, _INTS.scalar: _INTS, _DOUBLES.scalar: _DOUBLES}
    return [
        value if isinstance(kind, _VectorType) else _splat(builder, value, whole[kind].llvm)
        for kind, value in zip(sig.args, args, strict=True)
    ]


def _instruction(name: str, *fixed: Any) -> _Emit:
    def emit(_context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        return getattr(builder, name)(*fixed, *_vectors(builder, sig, args))

    return emit


def _conversion(name: str, target: _VectorType) -> _Emit:
    def emit(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
        return getattr(builder, name)(args[0], target.llvm)

    return emit


def _llvm_function(name: str) -> _Emit:
    """An LLVM intrinsic of one vector of floats."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
        function = ir.FunctionType(_FLOATS.llvm, [_FLOATS.llvm])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, f"{name}.v{LANES}f32"), args)

    return emit


def _pairs(result: _VectorType, vector: _VectorType) -> list[Any]:
    """Signatures of an operator between two vectors, or a vector and a scalar."""
    sides = [(vector, vector), (vector, vector.scalar), (vector.scalar, vector)]
    return [_signature(result, *side) for side in sides]


def _pointer(context: Any, builder: Any, array: Any, value: Any, start: Any, vector: ir.VectorType) -> Any:
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [start]), vector.as_pointer())


def _load(vector: ir.VectorType) -> _Emit:
    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], vector)
        found = builder.load(pointer, align=context.get_abi_sizeof(vector.element))
        return builder.zext(found, _INTS.llvm) if vector in (_BYTES, _SHORTS) else found

    return emit


def _store(vector: ir.VectorType) -> _Emit:
    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], vector)
        value = builder.trunc(args[2], vector) if vector in (_BYTES, _SHORTS) else args[2]
        builder.store(value, pointer, align=context.get_abi_sizeof(vector.element))
        return context.get_dummy_value()

    return emit


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


def _gather(vector: ir.VectorType, suffix: str) -> _Emit:
    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        size = context.get_abi_sizeof(vector.element)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        pointers = _Addresses(builder.block, data, args[1])
        builder._insert(pointers)
        mask = ir.VectorType(ir.IntType(1), LANES)
        function = ir.FunctionType(vector, [pointers.type, ir.IntType(32), mask, vector])
        name = f"llvm.masked.gather.v{LANES}{suffix}.v{LANES}p0"
        align = ir.Constant(ir.IntType(32), size)
        everywhere = ir.Constant(mask, [1] * LANES)
        callee = cgutils.get_or_insert_function(builder.module, function, name)
        return builder.call(callee, [pointers, align, everywhere, ir.Constant(vector, ir.Undefined)])

    return emit


def _shuffled(builder: Any, vector: Any, lanes: Sequence[int]) -> Any:
    """Those lanes of a vector."""
    places = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places)


def _load_fields(lanes: NDArray[np.intp]) -> _Emit:
    """Fields of bytes, as unsigned integers: the p-th of byte b, from the lowest bits on, is for lane lanes[p, b]."""
    fields, count = lanes.shape
    place, byte = np.divmod(np.argsort(lanes, axis=None), count)
    shifts = ir.Constant(_INTS.llvm, (place * (8 // fields)).tolist())
    largest = ir.Constant(_INTS.llvm, [(1 << 8 // fields) - 1] * LANES)
    packed = ir.VectorType(ir.IntType(8), count)

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], packed)
        found = _shuffled(builder, builder.load(pointer, align=1), byte.tolist())
        return builder.and_(builder.lshr(builder.zext(found, _INTS.llvm), shifts), largest)

    return emit


def _store_fields(lanes: NDArray[np.intp]) -> _Emit:
    """The inverse of `_load_fields`, for lanes that fit."""
    fields, count = lanes.shape
    packed = ir.VectorType(ir.IntType(8), count)

    def emit(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        total = _shuffled(builder, args[2], lanes[0].tolist())
        for place in range(1, fields):
            field = _shuffled(builder, args[2], lanes[place].tolist())
            shift = ir.Constant(field.type, [8 // fields * place] * count)
            total = builder.or_(total, builder.shl(field, shift))
        pointer = _pointer(context, builder, sig.args[0], args[0], args[1], packed)
        builder.store(builder.trunc(total, packed), pointer, align=1)
        return context.get_dummy_value()

    return emit


def _load_mask(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    pointer = _pointer(context, builder, sig.args[0], args[0], args[1], ir.IntType(LANES))
    return builder.bitcast(builder.load(pointer, align=1), _MASK.llvm)


def _store_mask(context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
    pointer = _pointer(context, builder, sig.args[0], args[0], args[1], ir.IntType(LANES))
    builder.store(builder.bitcast(args[2], ir.IntType(LANES)), pointer, align=1)
    return context.get_dummy_value()


def _reduction(name: str) -> _Emit:
    """An LLVM intrinsic that makes one integer of a vector."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
        function = ir.FunctionType(ir.IntType(32), [_INTS.llvm])
        callee = cgutils.get_or_insert_function(builder.module, function, f"llvm.vector.reduce.{name}.v{LANES}i32")
        return builder.call(callee, args)

    return emit


def _constant(vector: _VectorType, value: Any) -> _Emit:
    def emit(_context: Any, _builder: Any, _sig: Any, _args: Sequence[Any]) -> Any:
        return ir.Constant(vector.llvm, value)

    return emit


def _any_lane(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    bits = builder.bitcast(args[0], ir.IntType(LANES))
    return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


def _lane_bits(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))


def _middle_swapped(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    return _shuffled(builder, args[0], middle_swapped(np.arange(LANES, dtype=np.int32)).tolist())


def _first_lane(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    bits = builder.bitcast(args[0], ir.IntType(LANES))
    return builder.zext(builder.cttz(bits, ir.Constant(ir.IntType(1), 1)), ir.IntType(64))


def _mask_of(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    return builder.bitcast(args[0], _MASK.llvm)


def _smallest(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    function = ir.FunctionType(ir.FloatType(), [_FLOATS.llvm])
    name = f"llvm.vector.reduce.fmin.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args, fastmath=["nnan"])


def _narrow(_context: Any, builder: Any, _sig: Any, args: Sequence[Any]) -> Any:
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), NARROW), list(range(NARROW)))
    return builder.shuffle_vector(args[0], ir.Constant(args[0].type, ir.Undefined), lanes)


def _array(scalar: types.Type) -> types.Array:
    return types.Array(scalar, 1, "C")


for _operator, _name in {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div"}.items():
    for _vector in (_FLOATS, _DOUBLES):
        _register(getattr(operator, _operator), _instruction(f"f{_name}"), *_pairs(_vector, _vector))
        _register(getattr(operator, f"i{_operator}"), _instruction(f"f{_name}"), *_pairs(_vector, _vector))
for _operator, _name in {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "and_": "and_",
    "or_": "or_",
    "xor": "xor",
    "lshift": "shl",
    "rshift": "ashr",
}.items():
    _register(getattr(operator, _operator), _instruction(_name), *_pairs(_INTS, _INTS))
    _register(getattr(operator, f"i{_operator.rstrip('_')}"), _instruction(_name), *_pairs(_INTS, _INTS))
for _operator, _name in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=="}.items():
    for _vector in (_FLOATS, _DOUBLES):
        _register(getattr(operator, _operator), _instruction("fcmp_ordered", _name), *_pairs(_MASK, _vector))
    _register(getattr(operator, _operator), _instruction("icmp_signed", _name), *_pairs(_MASK, _INTS))
_register(operator.ne, _instruction("fcmp_unordered", "!="), *_pairs(_MASK, _FLOATS))
_register(operator.ne, _instruction("icmp_signed", "!="), *_pairs(_MASK, _INTS))
for _operator, _name in {"and_": "and_", "or_": "or_", "xor": "xor"}.items():
    _register(getattr(operator, _operator), _instruction(_name), _signature(_MASK, _MASK, _MASK))
_register(operator.invert, _instruction("not_"), _signature(_MASK, _MASK), _signature(_INTS, _INTS))
_register(operator.neg, _instruction("fneg"), _signature(_FLOATS, _FLOATS))
_register(operator.neg, _instruction("neg"), _signature(_INTS, _INTS))

_register(load, _load(_FLOATS.llvm), _signature(_FLOATS, _array(types.float32), types.intp))
_register(store, _store(_FLOATS.llvm), _signature(types.none, _array(types.float32), types.intp, _FLOATS))
_register(load_doubles, _load(_DOUBLES.llvm), _signature(_DOUBLES, _array(types.float64), types.intp))
_register(store_doubles, _store(_DOUBLES.llvm), _signature(types.none, _array(types.float64), types.intp, _DOUBLES))
_register(load_ints, _load(_INTS.llvm), _signature(_INTS, _array(types.int32), types.intp))
_register(store_ints, _store(_INTS.llvm), _signature(types.none, _array(types.int32), types.intp, _INTS))
_register(load_bytes, _load(_BYTES), _signature(_INTS, _array(types.uint8), types.intp))
_register(store_bytes, _store(_BYTES), _signature(types.none, _array(types.uint8), types.intp, _INTS))
_register(load_shorts, _load(_SHORTS), _signature(_INTS, _array(types.uint16), types.intp))
_register(store_shorts, _store(_SHORTS), _signature(types.none, _array(types.uint16), types.intp, _INTS))
_halves, _quads = np.arange(LANES).reshape(2, -1), np.arange(LANES).reshape(-1, 4).T
_register(load_nibbles, _load_fields(_halves), _signature(_INTS, _array(types.uint8), types.intp))
_register(store_nibbles, _store_fields(_halves), _signature(types.none, _array(types.uint8), types.intp, _INTS))
_register(load_crumbs, _load_fields(_quads), _signature(_INTS, _array(types.uint8), types.intp))
_register(store_crumbs, _store_fields(_quads), _signature(types.none, _array(types.uint8), types.intp, _INTS))
_register(load_mask, _load_mask, _signature(_MASK, _array(types.uint8), types.intp))
_register(store_mask, _store_mask, _signature(types.none, _array(types.uint8), types.intp, _MASK))
_register(gather, _gather(_FLOATS.llvm, "f32"), _signature(_FLOATS, _array(types.float32), _INTS))
_register(gather_ints, _gather(_INTS.llvm, "i32"), _signature(_INTS, _array(types.int32), _INTS))
_register(splat, lambda _c, b, _s, a: _splat(b, a[0], _FLOATS.llvm), _signature(_FLOATS, types.float32))
_register(splat_int, lambda _c, b, _s, a: _splat(b, a[0], _INTS.llvm), _signature(_INTS, types.int32))
_register(lane_numbers, _constant(_INTS, list(range(LANES))), _signature(_INTS))
for _vector in (_FLOATS, _INTS, _DOUBLES):
    _whole = [(_vector, _vector), (_vector, _vector.scalar), (_vector.scalar, _vector)]

    def _emit_select(_context: Any, builder: Any, sig: Any, args: Sequence[Any]) -> Any:
        return builder.select(*_vectors(builder, sig, args))

    _register(select, _emit_select, *(_signature(_vector, _MASK, *sides) for sides in _whole))
_register(select, _instruction("select"), _signature(_MASK, _MASK, _MASK, _MASK))
_register(nowhere, _constant(_MASK, None), _signature(_MASK))
_register(any_lane, _any_lane, _signature(types.boolean, _MASK))
_register(lane_bits, _lane_bits, _signature(types.int64, _MASK))
_register(max_lane, _reduction("smax"), _signature(types.int32, _INTS))
_register(min_lane, _reduction("smin"), _signature(types.int32, _INTS))
_register(middle_swapped, _middle_swapped, _signature(_INTS, _INTS))
_register(first_lane, _first_lane, _signature(types.int64, _MASK))
_register(mask_of, _mask_of, _signature(_MASK, types.int32))
_register(smallest, _smallest, _signature(types.float32, _FLOATS))
_register(nearest, _llvm_function("llvm.nearbyint"), _signature(_FLOATS, _FLOATS))
_register(truncated, _llvm_function("llvm.trunc"), _signature(_FLOATS, _FLOATS))
_register(magnitude, _llvm_function("llvm.fabs"), _signature(_FLOATS, _FLOATS))
_register(square_root, _llvm_function("llvm.sqrt"), _signature(_FLOATS, _FLOATS))
_register(to_ints, _conversion("fptosi", _INTS), _signature(_INTS, _FLOATS))
_register(to_floats, _conversion("sitofp", _FLOATS), _signature(_FLOATS, _INTS))
_register(bits_of, _conversion("bitcast", _INTS), _signature(_INTS, _FLOATS))
_register(from_bits, _conversion("bitcast", _FLOATS), _signature(_FLOATS, _INTS))
_register(widened, _conversion("fpext", _DOUBLES), _signature(_DOUBLES, _FLOATS))

for _operator, _name in {"add": "fadd", "sub": "fsub", "mul": "fmul"}.items():
    _both = _signature(_NARROW_FLOATS, _NARROW_FLOATS, _NARROW_FLOATS)
    _register(getattr(operator, _operator), _instruction(_name), _both)
    _register(getattr(operator, f"i{_operator}"), _instruction(_name), _both)
_register(operator.lt, _instruction("fcmp_ordered", "<"), _signature(_NARROW_MASK, _NARROW_FLOATS, _NARROW_FLOATS))
for _vector in (_NARROW_FLOATS, _NARROW_INTS):
    _register(select, _instruction("select"), _signature(_vector, _NARROW_MASK, _vector, _vector))
_register(load_narrow, _load(_NARROW_FLOATS.llvm), _signature(_NARROW_FLOATS, _array(types.float32), types.intp))
_register(
    store_narrow_ints, _store(_NARROW_INTS.llvm), _signature(types.none, _array(types.int32), types.intp, _NARROW_INTS)
)
_register(narrow, _narrow, _signature(_NARROW_FLOATS, _FLOATS), _signature(_NARROW_INTS, _INTS))
