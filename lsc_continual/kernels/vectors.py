"""Instructions on 64 integers at once, where the compiler's own vectorisation falls short.

Reductions in loops of known length are not vectorised by numba, and calls from within a loop over
rows cost more than the work. These go straight to LLVM, which fits them to whatever vector
registers a processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 64
_WIDTH = 16
_WORD = ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, _WIDTH)


def _constant(values: list[int]) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_WORD, value) for value in values])


def _everywhere(builder: Any, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), word, _WORD(0))
    return builder.shuffle_vector(one, one, _constant([0] * _WIDTH))


def _pointers(context: Any, builder: Any, array_type: Any, value: Any) -> list[Any]:
    """To the four vectors of an array of 64 words."""
    data = context.make_array(array_type)(context, builder, value).data
    data = builder.bitcast(data, _WORD.as_pointer())
    places = (builder.gep(data, [_WORD(start)]) for start in range(0, LANES, _WIDTH))
    return [builder.bitcast(place, _VECTOR.as_pointer()) for place in places]


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(pointer, align=4)


@intrinsic  # type: ignore[untyped-decorator]
def order(typing: Any, bits: Any, flip: Any, exact: Any, packed: Any) -> Any:
    """Floats as integers of the same order (the reverse, if `flip` is −1).

    `packed` has the number of the lane, counted from above, in place of the last six bits.

    Args:
        bits: int32[64], the floats. −0 counts as 0.
        flip: int32, 0 or −1.
        exact, packed: int32[64], where results go.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        flip = _everywhere(builder, arguments[1])
        columns = (_pointers(context, builder, signature.args[i], arguments[i]) for i in (0, 2, 3))
        for start, (source, whole, short) in zip(range(0, LANES, _WIDTH), zip(*columns)):
            word = _load(builder, source)
            sign = builder.ashr(word, _constant([31] * _WIDTH))
            size = builder.and_(sign, _constant([0x7FFFFFFF] * _WIDTH))
            word = builder.xor(builder.sub(builder.xor(word, size), sign), flip)
            builder.store(word, whole, align=4)
            word = builder.and_(word, _constant([-LANES] * _WIDTH))
            number = _constant([LANES - 1 - start - i for i in range(_WIDTH)])
            builder.store(builder.or_(word, number), short, align=4)
        return context.get_dummy_value()

    return types.void(bits, flip, exact, packed), generate


@intrinsic  # type: ignore[untyped-decorator]
def best_below(typing: Any, words: Any, keys: Any, bound: Any) -> Any:
    """The largest of those words whose key is less than `bound`; the least integer for none.

    Args:
        words, keys: int32[64].
        bound: int32.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bound = _everywhere(builder, arguments[2])
        least = _constant([-(2**31)] * _WIDTH)
        columns = [_pointers(context, builder, signature.args[i], arguments[i]) for i in (0, 1)]
        vectors = []
        for word, key in zip(*columns):
            smaller = builder.icmp_signed("<", _load(builder, key), bound)
            vectors.append(builder.select(smaller, _load(builder, word), least))
        while len(vectors) > 1:
            a, b = vectors.pop(0), vectors.pop(0)
            vectors.append(builder.select(builder.icmp_signed(">", a, b), a, b))
        reduce = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(_WORD, [_VECTOR]),
            f"llvm.vector.reduce.smax.v{_WIDTH}i32",
        )
        return builder.call(reduce, vectors)

    return types.int32(words, keys, bound), generate
