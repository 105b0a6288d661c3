"""Every index finds, at its largest effort, what a plain matrix product finds."""

from __future__ import annotations

import pytest
import torch

from lsc_continual import make_system
from lsc_continual.bench.indexes import INDEXES, TorchExhaustive


@pytest.mark.parametrize("kind", INDEXES, ids=lambda kind: kind.name)
def test_at_full_effort_the_nearest_vector_is_found(kind):
    if kind.module:
        pytest.importorskip(kind.module)
    system = make_system("v21", 16)
    vectors = system.vectors(torch.randperm(system.size, generator=torch.manual_seed(0))[:500])
    z = vectors[:100] + 0.1 * torch.randn(100, 16)
    index = kind(16, 1)
    index.build(vectors)
    efforts = index.efforts(500)
    assert efforts == sorted(set(efforts))
    found = index.search(z, efforts[-1])
    assert found.dtype == torch.int64
    right = (z @ vectors.T).argmax(-1)
    assert (found == right).double().mean() >= (0.95 if "HNSW" in kind.name else 1)
    assert index.bytes_held() >= 500 * 16 * 4


def test_chunks_of_vectors_do_not_change_the_answer(monkeypatch):
    monkeypatch.setattr("lsc_continual.bench.indexes._SCORES", 4 * 30 * 7)
    vectors, z = torch.randn(100, 8), torch.randn(30, 8)
    index = TorchExhaustive(8, 1)
    index.build(vectors)
    assert torch.equal(index.search(z, 0), (z @ vectors.T).argmax(-1))
