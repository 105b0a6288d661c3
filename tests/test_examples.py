"""The example runs, and does what it says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "one_experience.py"


def test_one_experience_shows_the_whole_idea(capsys):
    runpy.run_path(str(EXAMPLE))
    said = capsys.readouterr().out
    assert said.startswith("124,992 vectors, the nearest two at cosine 0.667\n")
    shares = dict(re.findall(r"(.+): ([\d.]+)%", said))
    assert float(shares["accuracy on the known digits"]) > 95
    assert float(shares["known digits called unknown"]) < 12  # 5 ± 2.5 % of some 470
    assert float(shares["new digits called unknown"]) > 50
