"""Novelty scores: their definitions, their direction, what fitting does, and their cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lsc_continual import LSCError, TargetHead, make_system
from lsc_continual.errors import NotTractableError
from lsc_continual.novelty import available_scores, make_score, novelty_metrics
from lsc_continual.novelty.base import Placed
from lsc_continual.novelty.fitted import Mahalanobis
from lsc_continual.novelty.names import SCORES
from tests.novelty.embeddings import embeddings, make_head


@pytest.fixture
def head() -> TargetHead:
    return make_head()


def scores_of(head: TargetHead, z: torch.Tensor) -> dict[str, torch.Tensor]:
    """All scores, fitted on known embeddings."""
    reference = Placed(head, embeddings(head, 400, 0.3, True))
    scores = available_scores(head)
    for score in scores.values():
        score.fit(reference)
    return {name: score(z) for name, score in scores.items()}


def test_scores_of_the_softmax_are_their_definitions(head):
    z = torch.randn(40, 12)
    every = 12.0 * F.normalize(z, dim=-1) @ head.system.vectors(torch.arange(head.system.size)).T
    p, owned = every.softmax(-1), head.targets.addresses()
    scores = scores_of(head, z)
    assert torch.allclose(scores["mass"], -p[:, owned].sum(-1).log(), atol=1e-4)
    assert torch.allclose(scores["ambiguity"], 1 - p.amax(-1), atol=1e-5)
    assert torch.allclose(scores["doubt"], 1 - p[:, owned].amax(-1), atol=1e-5)
    assert torch.allclose(scores["energy"], -every[:, owned].logsumexp(-1), atol=1e-4)
    best = (every / 12.0).topk(2).values
    assert torch.allclose(scores["gap"], best[:, 1] - best[:, 0], atol=1e-5)
    assert torch.allclose(scores["maxcos"], -every[:, owned].amax(-1) / 12.0, atol=1e-5)


def test_unowned_and_walk_count_what_is_nearer_than_the_nearest_owned(head):
    z = torch.randn(200, 12)
    cosines = F.normalize(z, dim=-1) @ head.system.vectors(torch.arange(head.system.size)).T
    best = cosines[:, head.targets.addresses()].amax(-1, keepdim=True)
    nearer = (cosines > best + 1e-6).sum(-1)
    scores = scores_of(head, z)
    assert torch.equal(scores["walk"], nearer.clamp_max(128).float())
    assert torch.equal(scores["unowned"], (nearer > 0).float())
    assert (nearer > 128).any()  # so that the limit was met
    assert (nearer == 0).any()


@pytest.mark.parametrize(("each", "neighbours"), [(2, 1), (19, 1), (35, 3), (80, 5)])
def test_knn_is_the_mean_cosine_distance_to_neighbours_as_far_as_a_class_goes(
    head, each, neighbours
):
    count = each * len(head.targets)
    reference, z = embeddings(head, count, 0.3, True), torch.randn(9, 12)
    score = make_score("knn", head)
    score.fit(Placed(head, reference))
    cosines = F.cosine_similarity(z[:, None], reference[None], dim=-1)
    nearest = cosines.topk(neighbours).values
    assert torch.allclose(score(z), 1 - nearest.mean(-1), atol=1e-5)


def test_mahalanobis_is_the_distance_in_the_metric_of_the_residuals(head):
    reference, z = embeddings(head, 500, 0.3, True), torch.randn(9, 12)
    score = make_score("mahalanobis", head)
    score.fit(Placed(head, reference))
    targets = head.targets.vectors()

    def nearest(x):
        return targets[(x @ targets.T).argmax(-1)]

    length = (reference * nearest(reference)).sum(-1).mean()
    residual = reference - length * nearest(reference)
    covariance = residual.T @ residual / len(residual)
    covariance += 0.01 * covariance.diagonal().mean() * torch.eye(12)
    off = z - length * nearest(z)
    expected = (off @ torch.linalg.inv(covariance) * off).sum(-1)
    assert torch.allclose(score(z), expected, rtol=1e-3)


def test_a_covariance_updated_in_pieces_is_that_of_all_at_once(head):
    parts = embeddings(head, 600, 0.3, True).split(200)
    at_once, in_pieces = Mahalanobis(head), Mahalanobis(head)
    for score in (at_once, in_pieces):  # one length for both
        score.fit(Placed(head, parts[0]))
    at_once.update(Placed(head, torch.cat(parts[1:])))
    for part in parts[1:]:
        in_pieces.update(Placed(head, part))
    z = torch.randn(20, 12)
    assert torch.allclose(at_once(z), in_pieces(z), rtol=1e-4)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_higher_for_what_is_unknown(name, head):
    known, unknown = embeddings(head, 500, 0.3, True), embeddings(head, 500, 0.3, False)
    scores = [scores_of(head, z)[name].numpy() for z in (known, unknown)]
    assert novelty_metrics(*scores, np.ones(500, dtype=bool))["auroc"] > 0.8


@pytest.mark.parametrize("name", SCORES)
def test_half_precision_embeddings_score_as_their_values_do(name, head):
    z = embeddings(head, 30, 0.3, True).half()
    torch.manual_seed(1)
    half = scores_of(head, z)[name]
    torch.manual_seed(1)
    assert torch.allclose(half.float(), scores_of(head, z.float())[name], atol=1e-4)


def test_neighbours_are_looked_for_where_classes_spread_alike_in_all_directions(head):
    reference, z = embeddings(head, 300, 0.3, True), torch.randn(40, 12)
    ordinal = head.targets.nearest(reference).ordinal
    inside = torch.cat(
        [r - r.mean(0) for r in (reference[ordinal == o] for o in range(8)) if len(r)]
    )
    metric = torch.linalg.inv(
        inside.T @ inside / 300 + 12 / 300 * torch.eye(12) * inside.square().mean()
    )
    score = make_score("whitened-knn", head)
    score.fit(Placed(head, reference))
    cosines = z @ metric @ reference.T
    for side, vectors in ((1, z), (0, reference)):
        length = (vectors @ metric * vectors).sum(1).sqrt()
        cosines = cosines / (length[:, None] if side else length)
    expected = 1 - cosines.topk(3).values.mean(1)
    assert torch.allclose(score(z), expected, atol=1e-4)


def test_the_default_adds_up_how_rarely_known_inputs_score_as_high(head):
    reference, z = embeddings(head, 300, 0.3, True), torch.randn(50, 12)
    z = torch.cat([z, embeddings(head, 50, 0.3, True)])
    score = make_score("auto", head)
    score.fit(Placed(head, reference))
    expected = torch.zeros(100)
    for name in ("doubt", "whitened-knn", "mahalanobis", "relative-mahalanobis"):
        part = make_score(name, head)
        part.fit(Placed(head, reference))
        of_z, of_reference = part(z), part(reference)
        if name == "whitened-knn":
            of_reference = part.fit_among(Placed(head, reference))
        elif name != "doubt":
            left_out = []
            for row in range(300):
                part.fit(Placed(head, torch.cat([reference[:row], reference[row + 1 :]])))
                left_out.append(part(reference[row : row + 1]))
            of_reference = torch.cat(left_out)
        if name == "mahalanobis":
            of_reference, of_z = of_reference.log(), of_z.log()
        ordered = of_reference.sort().values
        excess = ordered[240:].mean() - ordered[239]
        as_high = (of_reference >= of_z[:, None]).sum(1)
        counted = -((1 + as_high) / 301).log()
        beyond = -torch.tensor(60 / 300).log() + (of_z - ordered[239]) / excess
        beyond = torch.where(beyond > 20, 20 + 20 * (beyond / 20).log(), beyond)
        expected += torch.where(of_z > ordered[239], beyond, counted)
    assert torch.allclose(score(z), expected, rtol=0.02, atol=0.05)


def test_the_default_fits_one_reference_embedding_and_parts_that_do_not_vary(head):
    for reference in (embeddings(head, 1, 0.3, True), 3 * head.targets.vectors()[[0] * 9]):
        score = make_score("auto", head)
        score.fit(Placed(head, reference))
        known, unknown = (score(embeddings(head, 300, 0.3, which)) for which in (True, False))
        assert torch.isfinite(known).all()
        assert unknown.median() > known.median()


def test_systems_without_a_partition_have_the_other_scores():
    head = TargetHead(make_system("permutohedron", 9), unknown_prior=0)
    head.add_classes([0, 1])
    names = set(available_scores(head))
    assert {"auto", "gap", "maxcos", "norm", "knn", "mahalanobis", "unowned"} <= names
    assert names.isdisjoint({"mass", "ambiguity", "doubt"})
    with pytest.raises(NotTractableError, match="use auto"):
        make_score("mass", head)


def test_a_score_that_is_not_fitted_says_so(head):
    for name in ("auto", "knn", "mahalanobis", "relative-mahalanobis"):
        with pytest.raises(LSCError, match=r"call fit\(\)"):
            make_score(name, head)(torch.randn(2, 12))


def test_an_unknown_score_is_refused_with_the_nearest(head):
    with pytest.raises(LSCError, match="did you mean 'mass'"):
        make_score("mas", head)
