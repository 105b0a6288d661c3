"""Instructions on 64 numbers at once, where the compiler's own vectorisation falls short.

Reductions in loops of known length are not vectorised by numba, and calls from within a loop over
rows cost more than the work. These go straight to LLVM, which fits them to whatever vector
registers a processor has.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 64
_WIDTH = 16
_STARTS = range(0, LANES, _WIDTH)
_WORD, _FLOAT, _INDEX = ir.IntType(32), ir.FloatType(), ir.IntType(64)
_WORDS, _FLOATS = ir.VectorType(_WORD, _WIDTH), ir.VectorType(_FLOAT, _WIDTH)
_FAST = ("nnan", "nsz", "reassoc", "contract")


def _constant(values: list[int]) -> ir.Constant:
    return ir.Constant(_WORDS, [ir.Constant(_WORD, value) for value in values])


def _floats(value: float) -> ir.Constant:
    return ir.Constant(_FLOATS, [ir.Constant(_FLOAT, value)] * _WIDTH)


def _everywhere(builder: Any, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), word, _WORD(0))
    return builder.shuffle_vector(one, one, _constant([0] * _WIDTH))


def _data(context: Any, builder: Any, array_type: Any, value: Any) -> Any:
    return context.make_array(array_type)(context, builder, value).data


def _pointers(builder: Any, data: Any, vector: Any) -> list[Any]:
    """To the four vectors that lie one after another at an address."""
    data = builder.bitcast(data, vector.element.as_pointer())
    places = (builder.gep(data, [_INDEX(start)]) for start in _STARTS)
    return [builder.bitcast(place, vector.as_pointer()) for place in places]


def _larger(builder: Any, a: Any, b: Any) -> Any:
    real = a.type.element == _FLOAT
    larger = builder.fcmp_ordered(">", a, b) if real else builder.icmp_signed(">", a, b)
    return builder.select(larger, a, b)


def _folded(vectors: list[Any], combine: Any) -> Any:
    """One vector of several, two at a time."""
    while len(vectors) > 1:
        a, b, *vectors = vectors
        vectors.append(combine(a, b))
    return vectors[0]


def _across(builder: Any, operation: str, vector: Any, *start: Any) -> Any:
    """The elements of a vector combined by one of LLVM's reductions."""
    element = vector.type.element
    kind, flags = ("i32", ()) if element == _WORD else ("f32", _FAST)
    reduce = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(element, [*(value.type for value in start), vector.type]),
        f"llvm.vector.reduce.{operation}.v{_WIDTH}{kind}",
    )
    return builder.call(reduce, [*start, vector], fastmath=flags)


@intrinsic  # type: ignore[untyped-decorator]
def lanes(typing: Any, z: Any, r: Any, blocks: Any, highest: Any, deepest: Any) -> Any:
    """Maximum and negative minimum of each of 64 strided lanes; returns the squared norm.

    Args:
        z: float32[batch, n].
        r: the row.
        blocks: how many times 64 coordinates are taken, from the first on.
        highest, deepest: float32[64], where results go.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        _, columns = cgutils.unpack_tuple(builder, array.shape)
        row = builder.gep(array.data, [builder.mul(arguments[1], columns)])
        starts = [-float("inf"), -float("inf"), 0.0]
        kept = [[cgutils.alloca_once_value(builder, _floats(x)) for x in starts] for _ in _STARTS]
        with cgutils.for_range(builder, arguments[2]) as loop:
            block = builder.gep(row, [builder.mul(loop.index, _INDEX(LANES))])
            for pointer, (most, depth, total) in zip(_pointers(builder, block, _FLOATS), kept):
                x = builder.load(pointer, align=4)
                negative, square = builder.fneg(x), builder.fmul(x, x, flags=_FAST)
                builder.store(_larger(builder, x, builder.load(most)), most)
                builder.store(_larger(builder, negative, builder.load(depth)), depth)
                builder.store(builder.fadd(builder.load(total), square, flags=_FAST), total)
        targets = [
            _pointers(builder, _data(context, builder, signature.args[i], arguments[i]), _FLOATS)
            for i in (3, 4)
        ]
        sums = []
        for high, deep, (most, depth, total) in zip(*targets, kept):
            builder.store(builder.load(most), high, align=4)
            builder.store(builder.load(depth), deep, align=4)
            sums.append(builder.load(total))
        total = _folded(sums, lambda a, b: builder.fadd(a, b, flags=_FAST))
        return _across(builder, "fadd", total, ir.Constant(_FLOAT, 0.0))

    return types.float32(z, types.int64, types.int64, highest, deepest), generate


@intrinsic  # type: ignore[untyped-decorator]
def order(typing: Any, values: Any, packed: Any) -> Any:
    """Floats as integers of the same order, with the lane in the last six bits, counted from above.

    Returns the largest of them.

    Args:
        values: float32[64].
        packed: int32[64], where results go.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sources, targets = (
            _pointers(builder, _data(context, builder, kind, argument), _WORDS)
            for kind, argument in zip(signature.args, arguments)
        )
        vectors = []
        for start, source, target in zip(_STARTS, sources, targets):
            word = builder.load(source, align=4)
            sign = builder.ashr(word, _constant([31] * _WIDTH))
            size = builder.and_(sign, _constant([0x7FFFFFFF] * _WIDTH))
            word = builder.and_(builder.xor(word, size), _constant([-LANES] * _WIDTH))
            number = _constant([LANES - 1 - start - i for i in range(_WIDTH)])
            vectors.append(builder.or_(word, number))
            builder.store(vectors[-1], target, align=4)
        return _across(builder, "smax", _folded(vectors, partial(_larger, builder)))

    return types.int32(values, packed), generate


@intrinsic  # type: ignore[untyped-decorator]
def best_below(typing: Any, words: Any, keys: Any, bound: Any) -> Any:
    """The largest of those words or floats whose key is less than `bound`.

    The least integer, or −∞, for none.

    Args:
        words: int32[64] or float32[64].
        keys: int32[64].
        bound: int32.
    """
    real = words.dtype == types.float32
    kind, least = (
        (_FLOATS, _floats(-float("inf"))) if real else (_WORDS, _constant([-(2**31)] * _WIDTH))
    )

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bound = _everywhere(builder, arguments[2])
        values, keys = (
            _pointers(builder, _data(context, builder, signature.args[i], arguments[i]), vector)
            for i, vector in enumerate((kind, _WORDS))
        )
        vectors = []
        for value, key in zip(values, keys):
            smaller = builder.icmp_signed("<", builder.load(key, align=4), bound)
            vectors.append(builder.select(smaller, builder.load(value, align=4), least))
        best = _folded(vectors, partial(_larger, builder))
        return _across(builder, "fmax" if real else "smax", best)

    return (types.float32 if real else types.int32)(words, keys, bound), generate
