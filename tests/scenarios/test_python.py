"""Benchmarks of the user's own, and what is held out of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from avalanche.benchmarks import benchmark_with_validation_stream

from lsc_continual import LSCError
from lsc_continual.experiences.located import integers
from lsc_continual.inputs.selection import share_of_each
from lsc_continual.scenarios.python import load_benchmark, validation
from tests.conftest import make_blob_stream


class Streams:
    """No benchmark of Avalanche's, though it has the two streams."""

    train_stream = make_blob_stream().train_stream
    test_stream = make_blob_stream().test_stream


def streams() -> Streams:
    return Streams()


def test_a_share_of_every_class_is_taken_out_of_the_training_data():
    benchmark = make_blob_stream()
    split, held_out = validation(benchmark, 0.25, seed=3)
    for experience, rest in zip(split.train_stream, held_out, strict=True):
        kept, taken = integers(experience.dataset.targets), integers(rest.targets)
        assert set(kept.tolist()) == set(taken.tolist())
        assert kept.bincount().max() == 30
        assert taken.bincount().max() == 10
    again = validation(make_blob_stream(), 0.25, seed=3)[1]
    assert all(
        torch.equal(a[i][0], b[i][0]) for a, b in zip(held_out, again) for i in range(len(a))
    )
    assert validation(benchmark, 0, seed=3) == (benchmark, ())


def test_a_valid_stream_of_the_benchmark_is_used_as_far_as_classes_have_arrived():
    benchmark = benchmark_with_validation_stream(make_blob_stream(), 0.5, shuffle=True, seed=0)
    every = [list(benchmark.streams["valid"])[i].dataset for i in range(3)]
    split, held_out = validation(benchmark, 0.1, seed=0)
    assert split is benchmark
    assert [len(part) for part in held_out] == [len(part) for part in every]
    later_first = make_blob_stream(order=[4, 5, 2, 3, 0, 1]).train_stream
    streams = {"train": split.train_stream, "valid": later_first}
    benchmark = SimpleNamespace(streams=streams, train_stream=split.train_stream)
    _, held_out = validation(benchmark, 0.1, seed=0)
    labels = [sorted(set(integers(part.targets).tolist())) for part in held_out]
    assert labels == [[], [2, 3], [0, 1]]


def test_what_is_no_benchmark_is_refused():
    with pytest.raises(LSCError, match="return one with a train_stream and a test_stream"):
        load_benchmark("tests.scenarios.test_python:streams")


def test_shares_are_of_every_class_and_never_all_of_it():
    labels = torch.tensor([0] * 100 + [1] * 10 + [2] * 2 + [3])[torch.randperm(113)]
    taken = share_of_each(labels, 0.1, seed=0)
    assert labels[taken].bincount(minlength=4).tolist() == [10, 1, 1, 0]
    assert not share_of_each(labels, 0.0, seed=0).any()
    assert torch.equal(taken, share_of_each(labels, 0.1, seed=0))
    assert not torch.equal(taken, share_of_each(labels, 0.1, seed=1))
