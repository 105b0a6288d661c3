"""The choice of a penalty."""

from __future__ import annotations

import pytest
import torch

from lsc_continual import LSCError
from lsc_continual.learners.penalty import choose


def right(*wrong: int) -> torch.Tensor:
    """Of a hundred answers, all but some are right."""
    answers = torch.ones(100, dtype=torch.bool)
    answers[list(wrong)] = False
    return answers


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ({0.1: right()}, 0.1),
        ({0.01: right(1, 2), 0.1: right(1, 2)}, 0.1),
        ({0.01: right(1, 2), 0.1: right(1, 2), 1: right(2)}, 0.1),  # one more may be chance
        ({0.01: right(1, 2), 0.1: right(1, 2), 1: right()}, 1),
        ({0.01: right(4, 5), 0.1: right(1, 2, 3), 1: right(4, 5)}, 0.1),  # 3 against 2 others
        ({0.01: right(), 0.1: right(1, 2), 1: right(1, 2, 3, 4)}, 0.01),
        ({0.01: right(), 0.1: right(*range(9)), 1: right(*range(5))}, 1),  # up comes first
        (
            {1: right(*range(5)), 2: right(*range(5)), 3: right(*range(9)), 4: right(), 5: right()},
            4,
        ),
        (
            {1: right(), 2: right(*range(5)), 3: right(*range(9)), 4: right(*range(9)), 5: right()},
            1,
        ),
    ],
)
def test_it_goes_where_it_gets_better_by_more_than_chance(answers, chosen):
    assert choose(list(answers), lambda penalty: (penalty, answers[penalty])) == chosen


def test_none_is_tried_beyond_one_that_is_no_better():
    asked = []

    def tried(penalty: float):
        asked.append(penalty)
        return penalty, right()

    assert choose([1, 2, 3, 4, 5], tried) == 3
    assert asked == [3, 4, 2]


def test_one_that_cannot_be_solved_ends_the_way():
    def tried(penalty: float):
        if penalty < 0.01:
            raise LSCError("not positive")
        return penalty, right()

    assert choose([0.0001, 0.001, 0.01, 0.1, 1], tried) == 0.01
