"""`python -m reproduce`: the command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from lsc_continual.bench.tables import show
from lsc_continual.cli.running import console_for_tables
from lsc_continual.errors import LSCError
from lsc_continual.machine.devices import pick_device
from lsc_continual.machine.environment import describe_environment
from reproduce import __doc__ as about
from reproduce.claims import Claim, chosen, claims
from reproduce.outcome import Outcome, Settings
from reproduce.page import write_page


def main() -> None:
    arguments = _parser().parse_args()
    console = console_for_tables()
    try:
        failures = _run(arguments, console)
    except LSCError as error:
        if arguments.debug:
            raise
        failures = [str(error)]
    except KeyboardInterrupt:
        print(f"stopped; finished claims are in {arguments.results}", file=sys.stderr)
        sys.exit(130)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(2)


def _run(arguments: argparse.Namespace, console: Console) -> list[str]:
    """Measure what was asked for; returns what was wrong with claims that could not be measured."""
    if not arguments.claims and not arguments.page:
        _list(console)
    settings = Settings(
        full=arguments.full,
        root=arguments.root,
        arrays=_arrays(arguments.arrays),
        device=pick_device(arguments.device, "--device "),
        seeds=arguments.seeds,
        say=lambda line: console.print(line, style="dim", highlight=False),
    )
    failures = []
    for claim in chosen(arguments.claims):
        console.rule(f"{claim.title} ({claim.paper})", align="left")
        start = time.perf_counter()
        try:
            outcome = claim.measure(settings)
        except LSCError as error:  # the other claims do not need what this one lacks
            if arguments.debug:
                raise
            failures.append(f"{claim.name} was not measured: {error}")
            continue
        _keep(claim, outcome, settings, time.perf_counter() - start, arguments)
        _show(console, outcome)
    if arguments.page and not failures:
        write_page(arguments.page, arguments.results)
        console.print(f"{arguments.page} is written from the results in {arguments.results}")
    return failures


def _keep(
    claim: Claim, outcome: Outcome, settings: Settings, seconds: float, arguments: Any
) -> None:
    """Write the results as JSON, and the figures."""
    arguments.results.mkdir(parents=True, exist_ok=True)
    arguments.figures.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, figure in outcome.figures.items():
        files[name] = f"{claim.name}-{name}.svg"
        figure.savefig(arguments.figures / files[name], metadata={"Date": None})
    content = {
        "claim": claim.name,
        "setting": "full" if settings.full else "quick",
        "seeds": settings.seeds,
        "seconds": seconds,
        "environment": describe_environment(settings.device),
        "findings": [vars(finding) for finding in outcome.findings],
        "tables": [vars(table) for table in outcome.tables],
        "figures": files,
    }
    path = arguments.results / f"{claim.name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(console: Console, outcome: Outcome) -> None:
    for table in outcome.tables:
        show(console, table.title, table.rows)
    findings = RichTable("the paper says", "measured", "verdict", show_lines=True)
    for finding in outcome.findings:
        findings.add_row(finding.statement, finding.measured, str(finding.verdict))
    console.print(findings)


def _list(console: Console) -> None:
    table = RichTable("claim", "paper", "what it says")
    for claim in claims().values():
        table.add_row(claim.name, claim.paper, claim.title)
    console.print(table)


def _arrays(given: list[str]) -> dict[str, Path]:
    pairs = [text.partition("=") for text in given]
    for scenario, equals, path in pairs:
        if not (scenario and equals and path):
            raise LSCError("--arrays takes SCENARIO=FILE, for example split-omniglot=omniglot.npz")
    return {scenario: Path(path) for scenario, _, path in pairs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduce",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("claims", nargs="*", help="which, or all; without, they are listed")
    parser.add_argument("--full", action="store_true", help="the setting for a GPU")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the data")
    parser.add_argument(
        "--arrays", nargs="+", default=[], metavar="SCENARIO=FILE", help=".npz files instead"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--seeds", type=int, default=1, help="how many to average over")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for JSON")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures/papers"))
    parser.add_argument("--page", type=Path, help="write a page of all results")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    main()
