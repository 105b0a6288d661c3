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
        ({0.1: right(1, 2), 0.01: right(1, 2)}, 0.1),
        ({0.1: right(1), 0.01: right()}, 0.1),  # one more may be chance
        ({0.1: right(1, 2), 0.01: right()}, 0.01),
        ({0.1: right(1, 2, 3), 0.01: right(4, 5)}, 0.1),  # 3 against 2 others
        ({0.1: right(*range(9)), 0.01: right(*range(5)), 0.001: right(*range(20))}, 0.01),
        ({0.01: right(1, 2), 0.1: right(2)}, 0.01),
        ({0.01: right(*range(9)), 0.1: right(*range(5)), 0.001: right(*range(4))}, 0.1),
    ],
)
def test_a_later_one_has_to_be_better_by_more_than_chance(answers, chosen):
    assert choose(list(answers), lambda penalty: (penalty, answers[penalty])) == chosen


def test_one_that_cannot_be_solved_is_passed_over():
    def tried(penalty: float):
        if penalty < 0.01:
            raise LSCError("not positive")
        return penalty, right()

    assert choose([0.01, 0.1, 0.001], tried) == 0.01
