"""`python -m experiments`: the command line."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from experiments.arguments import arrays, parse
from experiments.outcome import Outcome
from experiments.page import write_page
from experiments.registry import Experiment, experiments
from experiments.settings import Settings, chosen
from lsc_continual.bench.plots import save
from lsc_continual.bench.tables import check_writable, show, write_json
from lsc_continual.cli.running import console_for_tables
from lsc_continual.errors import LSCError
from lsc_continual.machine import distributed
from lsc_continual.machine.devices import pick_device
from lsc_continual.machine.environment import describe_environment


def main(arguments: Sequence[str] | None = None) -> None:
    """List, measure, or write the page, as the arguments say."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        failures = _carry_out(given)
    except LSCError as error:
        if "--debug" in given:
            raise
        failures = [str(error)]
    except KeyboardInterrupt:
        print("stopped; the results of finished experiments are kept", file=sys.stderr)
        sys.exit(130)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    if failures:
        sys.exit(2)


def _carry_out(arguments: Sequence[str]) -> list[str]:
    """Do what was asked for; returns what was wrong with experiments that could not be measured."""
    named, common, given = parse(arguments)
    first = distributed.rank() == 0  # of several processes, one speaks
    console = console_for_tables()
    console.quiet = not first
    if not named and not common.page:
        _list(console)
    settings = Settings(
        root=common.root,
        arrays=arrays(common.arrays),
        device=pick_device(common.device, "--device "),
        seeds=common.seeds,
        say=lambda line: console.print(line, style="dim", highlight=False),
    )
    if named:
        check_writable("--results", common.results, folder=True)
    failures = []
    for experiment in named:
        console.rule(f"{experiment.title} ({experiment.paper or experiment.page})", align="left")
        start = time.perf_counter()
        options: Any = chosen(experiment.options, common.full, given)
        try:
            outcome = experiment.measure(settings, options)
        except LSCError as error:  # the others do not need what this one lacks
            if common.debug:
                raise
            failures.append(f"{experiment.name} was not measured: {error}")
            continue
        if first:
            about = {"seconds": time.perf_counter() - start, "options": asdict(options)}
            _keep(experiment, outcome, settings, common, about)
            _show(console, outcome)
    if common.page and not failures:
        write_page(common.page, common.results)
        console.print(f"{common.page} is written from the results in {common.results}")
    return failures


def _keep(
    experiment: Experiment,
    outcome: Outcome,
    settings: Settings,
    common: Namespace,
    about: dict[str, Any],
) -> None:
    """Write the results as JSON, and the figures."""
    files = {}
    for name, figure in outcome.figures.items():
        files[name] = f"{experiment.name}-{name}.svg"
        common.figures.mkdir(parents=True, exist_ok=True)
        save(figure, common.figures / files[name])
    content = {
        "experiment": experiment.name,
        "setting": "full" if common.full else "quick",
        "seeds": settings.seeds,
        **about,
        "environment": describe_environment(settings.device),
        "findings": [vars(finding) for finding in outcome.findings],
        "tables": [vars(table) for table in outcome.tables],
        "figures": files,
    }
    write_json(common.results / f"{experiment.name}.json", content)


def _show(console: Console, outcome: Outcome) -> None:
    for table in outcome.tables:
        show(console, table.title, table.rows)
    if outcome.findings:
        findings = RichTable("the paper says", "measured", "verdict", show_lines=True)
        for finding in outcome.findings:
            findings.add_row(finding.statement, finding.measured, str(finding.verdict))
        console.print(findings)


def _list(console: Console) -> None:
    table = RichTable("experiment", "of", "what is measured")
    for experiment in experiments().values():
        table.add_row(experiment.name, experiment.paper or experiment.page, experiment.title)
    console.print(table)


if __name__ == "__main__":
    main()
