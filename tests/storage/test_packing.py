"""Nested state as JSON and safetensors."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from lsc_continual.storage.packing import mapped_tensors, pack, unpack

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


@st.composite
def tensors(draw: Any) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    content = draw(st.binary(min_size=8 * math.prod(shape), max_size=8 * math.prod(shape)))
    bits = torch.tensor(list(content), dtype=torch.uint8)
    if dtype == torch.bool:
        return (bits[: math.prod(shape)] > 127).view(shape)
    # Any bits at all: NaNs with payloads, infinities, negative zeros.
    return bits[: math.prod(shape) * dtype.itemsize].view(dtype).view(shape)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.integers(-(2**70), 2**70) | st.text(st.characters(exclude_categories=["Cs"]))
states = st.recursive(
    scalars | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=15,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value, type and order, tensors to the bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return False
        a, b = (t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other))
        return torch.equal(a, b)
    if isinstance(one, dict):
        return [*map(type, one)] == [*map(type, other)] and same(
            [*one, *one.values()], [*other, *other.values()]
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one.hex() == other.hex()
    return one == other


@settings(deadline=None, max_examples=300)
@given(states)
def test_what_comes_out_is_what_went_in(state):
    assert same(unpack(*pack(state)), state)


def test_floats_without_a_number_come_back():
    back = unpack(*pack([math.nan, math.inf, -math.inf, -0.0]))
    assert math.isnan(back[0])
    assert back[1:] == [math.inf, -math.inf, 0.0]
    assert math.copysign(1, back[3]) == -1


def test_dictionaries_that_look_like_marks_of_the_format():
    state = {"$tensor": "0", "$tuple": [1], "$dict": {"$dict": []}, "x": [{"$tuple": 2}, ()]}
    assert same(unpack(*pack(state)), state)
    assert same(unpack(*pack([{}, {"$tensor": torch.zeros(1)}])), [{}, {"$tensor": torch.zeros(1)}])


def test_tensors_that_share_memory_come_back_apart():
    base = torch.arange(12.0).view(3, 4)
    state = {"all": base, "again": base, "row": base[1], "turned": base.T, "every": base[:, ::2]}
    back = unpack(*pack(state))
    assert same(back, {name: tensor.contiguous() for name, tensor in state.items()})
    back["row"].zero_()
    assert torch.equal(back["all"], base)
    assert base[1, 1] == 5


def test_what_is_saved_is_the_moment_of_saving():
    tensor = torch.nn.Parameter(torch.ones(3))
    parts = pack({"weight": tensor})
    with torch.no_grad():
        tensor.zero_()
    back = unpack(*parts)["weight"]
    assert back.tolist() == [1, 1, 1]
    assert not back.requires_grad


def test_the_state_of_an_optimizer_comes_back():
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    back = unpack(*pack(optimizer.state_dict()))
    assert same(back, optimizer.state_dict())
    assert [type(key) for key in back["state"]] == [int, int]


@pytest.mark.parametrize(
    "value",
    [{1}, b"x", 1j, np.int64(2), np.zeros(2), object(), torch.float32, range(2)],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match=f"{type(value).__name__} cannot be part of a saved state"):
        pack({"a": [1, (value,)]})


def test_keys_of_other_types_are_refused():
    """A tuple would come back as a list, which is no key."""
    for key in ((1, 2), b"x", np.int64(1)):
        with pytest.raises(TypeError, match=f"{type(key).__name__} cannot be a key"):
            pack({key: 1})


def test_the_structure_is_plain_json():
    text, _ = pack({"größe": [1, torch.zeros(2)], 3: (None,)})
    assert json.loads(text)
    assert "größe" in text.decode()


def test_a_mapped_file_is_not_copied():
    tensors = {"b": torch.arange(6, dtype=torch.int32).view(2, 3), "a": torch.tensor([2**40, -1])}
    content = bytearray(save(tensors))
    found = mapped_tensors(content)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    content[-4:] = b"\0\0\0\0"  # the last one of "b"
    assert found["b"].tolist() == [[0, 1, 2], [3, 4, 0]]
    with pytest.raises(KeyError):
        mapped_tensors(save({"a": torch.zeros(2, dtype=torch.bool)}))
    with pytest.raises(ValueError, match="buffer"):
        mapped_tensors(content[:-4])
