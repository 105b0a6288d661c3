"""Neural collapse, against its definition with explicit matrices and against known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lsc_continual import LSCError, make_system
from lsc_continual.network.collapse import neural_collapse


def a_cloud(seed: int = 0, counts=(7, 30, 11, 19), dim: int = 9):
    generator = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(len(counts), dim, generator=generator)
    labels = torch.repeat_interleave(torch.tensor([2, 3, 5, 9]), torch.tensor(counts))
    index = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    noise = torch.randn(len(labels), dim, generator=generator)
    vectors = torch.randn(len(counts), dim, generator=generator)
    return means[index] + noise, labels, vectors


def test_the_numbers_are_those_of_the_definitions():
    z, labels, vectors = a_cloud()
    found = neural_collapse(z, labels, labels, vectors)

    x, y = z.double().numpy(), labels.numpy()
    classes = np.unique(y)
    means = np.stack([x[y == c].mean(0) for c in classes])
    within = np.mean([np.cov(x[y == c].T, bias=True) for c in classes], axis=0)
    centred = means - means.mean(0)
    between = centred.T @ centred / len(classes)
    variability = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(classes)
    norms = np.linalg.norm(centred, axis=1)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    cosines = np.array([centred[i] @ centred[j] / norms[i] / norms[j] for i, j in pairs])
    a = vectors.double().numpy() - vectors.double().numpy().mean(0)
    duality = np.linalg.norm(a / np.linalg.norm(a) - centred / np.linalg.norm(centred))
    nearest = classes[((x[:, None] - means) ** 2).sum(-1).argmin(1)]

    expected = (
        variability,
        norms.std() / norms.mean(),
        cosines.std(),
        np.abs(cosines + 1 / 3).mean(),
        duality,
        (nearest == y).mean(),
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_simplex_of_points_is_complete_collapse():
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))
    corners = make_system("orthogonal", 5).vectors(torch.arange(5)).double() @ q
    labels = torch.arange(5).repeat(4)
    z = 3 * corners[labels] + 7  # a simplex about any centre
    found = neural_collapse(z, labels, labels, corners)
    assert found[:5] == pytest.approx((0,) * 5, abs=1e-7)
    assert found.nearest_centre_agreement == 1


def test_nearest_centre_agreement_is_with_the_answers_and_not_the_labels():
    z, labels, vectors = a_cloud()
    means = torch.stack([z[labels == c].mean(0) for c in labels.unique()])
    nearest = labels.unique()[torch.cdist(z, means).argmin(1)]
    assert neural_collapse(z, labels, nearest, vectors).nearest_centre_agreement == 1
    assert neural_collapse(z, labels, nearest + 1, vectors).nearest_centre_agreement < 0.3


@pytest.mark.parametrize("classes", [1, 3])
def test_what_cannot_be_measured_is_refused(classes):
    z, labels, vectors = a_cloud()
    rows = labels == 2 if classes == 1 else labels > 0
    with pytest.raises(LSCError, match="two classes or more, with a vector each"):
        neural_collapse(z[rows], labels[rows], labels[rows], vectors[:classes])
