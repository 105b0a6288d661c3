"""docs/papers.md, from the results of all claims."""

from __future__ import annotations

import json
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from experiments.outcome import Verdict
from experiments.registry import Experiment, claims
from lsc_continual.bench.tables import markdown
from lsc_continual.errors import LSCError

_HEAD = """\
# The source papers, reproduced and judged

This page is written by `python -m experiments --page docs/papers.md` from what the commands in it
measured; verdicts are computed from the figures. Where a paper leaves a detail open, the choice is
ours, and said so. The quick setting is for two CPU cores and small networks: it shows
tendencies, not records. `--full` is the setting for a GPU.
"""


def write_page(path: Path, results: Path) -> None:
    """Write the page from the JSON files in `results`.

    Raises:
        LSCError: a claim has no results there.
    """
    files = {name: results / f"{name}.json" for name in claims()}
    missing = [name for name, file in files.items() if not file.is_file()]
    if missing:
        raise LSCError(
            f"there are no results of {', '.join(missing)} in {results}: run "
            f"python -m experiments {' '.join(missing)}"
        )
    contents = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items()}
    parts = [_HEAD, _overview(contents)]
    for paper, its_claims in groupby(claims().values(), attrgetter("paper")):
        parts.append(f"## {paper}\n")
        parts += [_section(claim, contents[claim.name]) for claim in its_claims]
    path.write_text("\n".join(parts), encoding="utf-8")


def _overview(contents: dict[str, Any]) -> str:
    """How many statements of each claim got which verdict."""
    lines = [f"| claim | paper | {' | '.join(Verdict)} |", "|---|---|" + "---|" * len(Verdict)]
    for claim in claims().values():
        verdicts = [finding["verdict"] for finding in contents[claim.name]["findings"]]
        counts = [str(verdicts.count(verdict) or "") for verdict in Verdict]
        lines.append(
            f"| [{claim.title}]({_anchor(claim)}) | {claim.paper} | {' | '.join(counts)} |"
        )
    minutes = sum(content["seconds"] for content in contents.values()) / 60
    return (
        f"Measuring them took {minutes:.0f} minutes altogether. Statements by verdict, those of "
        "the papers and our own:\n\n" + "\n".join(lines) + "\n"
    )


def _anchor(claim: Experiment) -> str:
    """Where its heading is, as GitHub names it."""
    kept = "".join(c for c in claim.title.lower() if c.isalnum() or c in " -_")
    return "#" + kept.replace(" ", "-")


def _section(claim: Experiment, content: dict[str, Any]) -> str:
    option = " --full" if content["setting"] == "full" else ""
    option += f" --seeds {content['seeds']}" if content["seeds"] > 1 else ""
    environment = content["environment"]
    threads = environment["cpu_threads"]
    lines = [
        f"### {claim.title}\n",
        (claim.preface + claim.about.partition("\n\n")[2]).strip() + "\n",
        f"```bash\npython -m experiments {claim.name}{option}\n```\n",
        f"{environment['processor']}, {environment['device']}, {threads} "
        f"thread{'s' * (threads > 1)}, torch {environment['torch']}; "
        f"{content['seconds'] / 60:.1f} minutes.\n",
        "| the paper says | measured here | verdict |",
        "|---|---|---|",
    ]
    for finding in content["findings"]:
        lines.append(
            f"| {finding['statement']} | {finding['measured']} | **{finding['verdict']}** |"
        )
    lines.append("")
    for table in content["tables"]:
        lines += [f"{table['title']}:\n", *markdown(table["rows"]), ""]
    for name, file in content["figures"].items():
        lines.append(f"![{name.replace('-', ' ')}](figures/papers/{file})\n")
    return "\n".join(lines)
