"""Which calibration inputs an input is compared with."""

import pytest
import torch

from lsc_continual.novelty.mondrian import groups_of


def test_classes_with_enough_inputs_stand_alone_and_rare_ones_together():
    group, members = groups_of(torch.tensor([30, 2, 25, 12, 9]), needed=20)
    assert group.tolist() == [1, 0, 2, 0, 0]
    assert [part.nonzero()[:, 0].tolist() for part in members] == [[1, 3, 4], [0], [2]]


def test_where_all_rare_classes_have_too_few_the_next_rarest_is_with_them():
    group, members = groups_of(torch.tensor([30, 2, 25, 0, 9]), needed=20)
    assert members[group[1]].nonzero()[:, 0].tolist() == [1, 2, 3, 4]
    assert members[group[0]].nonzero()[:, 0].tolist() == [0]
    # Counted in, an input of class 2 makes it no larger than it is for the others.
    assert members[group[2]].nonzero()[:, 0].tolist() == [1, 2, 3, 4]


def test_without_rare_classes_all_stand_alone():
    group, members = groups_of(torch.tensor([21, 30]), needed=20)
    assert group.tolist() == [0, 1]
    assert [part.nonzero()[:, 0].tolist() for part in members] == [[0], [1]]


@pytest.mark.parametrize("rate", [0.5, 0.25, 0.1])
def test_of_any_inputs_no_more_than_the_rate_are_flagged_by_the_others(rate):
    """Validity itself: if any of m + 1 inputs is as likely to be the tested one, at most a share
    of `rate` of them may be flagged when the others calibrate, whatever classes and scores."""
    torch.manual_seed(0)
    needed = max(round(1 / rate) - 1, 2)
    for trial in range(60):
        count = int(torch.randint(needed + 1, 60, ()))
        weights = torch.rand(int(torch.randint(1, 9, ()))) ** 3
        classes = weights.multinomial(count, replacement=True)
        # Scores that differ between classes as much as they can.
        scores = torch.rand(count) + classes * (1 - 2 * (trial % 2)) * 3
        flagged = torch.zeros(count, dtype=torch.bool)
        smallest = count
        for tested in range(count):
            rest = torch.arange(count) != tested
            group, members = groups_of(classes[rest].bincount(minlength=len(weights)), needed)
            compared = rest & members[int(group[classes[tested]])][classes]
            above = int((scores[compared] >= scores[tested]).sum())
            flagged[tested] = (1 + above) / (1 + int(compared.sum())) <= rate
            smallest = min(smallest, int(compared.sum()))
        assert smallest >= needed
        assert int(flagged.sum()) <= rate * count
