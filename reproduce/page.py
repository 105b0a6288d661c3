"""docs/papers.md, from the results of all claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsc_continual.bench.tables import text
from lsc_continual.errors import LSCError
from reproduce.claims import Claim, claims

_HEAD = """\
# The source papers, reproduced and judged

This page is written by `python -m reproduce --page docs/papers.md` from what the commands in it
measured; verdicts are computed from the figures. Where a paper leaves a detail open, the choice is
ours, and said so. The quick setting is for two CPU cores and small networks: it shows
tendencies, not records. `--full` is the setting for a GPU.
"""


def write_page(path: Path, results: Path) -> None:
    """Write the page from the JSON files in `results`.

    Raises:
        LSCError: a claim has no results there.
    """
    parts = [_HEAD]
    missing = [name for name in claims() if not (results / f"{name}.json").is_file()]
    if missing:
        raise LSCError(
            f"there are no results of {', '.join(missing)} in {results}: run "
            f"python -m reproduce {' '.join(missing)}"
        )
    paper = ""
    for claim in claims().values():
        if claim.paper != paper:
            parts.append(f"## {claim.paper}\n")
            paper = claim.paper
        content = json.loads((results / f"{claim.name}.json").read_text(encoding="utf-8"))
        parts.append(_section(claim, content))
    path.write_text("\n".join(parts), encoding="utf-8")


def _section(claim: Claim, content: dict[str, Any]) -> str:
    option = " --full" if content["setting"] == "full" else ""
    option += f" --seeds {content['seeds']}" if content["seeds"] > 1 else ""
    environment = content["environment"]
    lines = [
        f"### {claim.title}\n",
        claim.about.strip() + "\n",
        f"```bash\npython -m reproduce {claim.name}{option}\n```\n",
        f"{environment['processor']}, {environment['device']}, {environment['cpu_threads']} "
        f"threads, torch {environment['torch']}; {content['seconds'] / 60:.1f} minutes.\n",
        "| the paper says | measured here | verdict |",
        "|---|---|---|",
    ]
    for finding in content["findings"]:
        lines.append(
            f"| {finding['statement']} | {finding['measured']} | **{finding['verdict']}** |"
        )
    lines.append("")
    for table in content["tables"]:
        lines += [f"{table['title']}:\n", *_table(table["rows"]), ""]
    for name, file in content["figures"].items():
        lines.append(f"![{name.replace('-', ' ')}](figures/papers/{file})\n")
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return [
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(text(row.get(column)) for column in columns)} |" for row in rows),
    ]
