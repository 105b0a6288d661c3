"""Entry point of `lsc-cl`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lsc_continual.cli.bench import bench
from lsc_continual.cli.compare import compare
from lsc_continual.cli.doctor import doctor
from lsc_continual.cli.early import check_options
from lsc_continual.cli.eval import evaluate
from lsc_continual.cli.forget import forget
from lsc_continual.cli.learn import learn
from lsc_continual.cli.ls import ls
from lsc_continual.cli.merge import merge
from lsc_continual.cli.resume import resume
from lsc_continual.cli.run import run
from lsc_continual.cli.running import is_first
from lsc_continual.cli.show import show
from lsc_continual.cli.stream import stream
from lsc_continual.errors import LSCError, first_line
from lsc_continual.machine.terminal import console_for_progress, say

app = typer.Typer(
    name="lsc-cl",
    help="Learn classes as they arrive, with a network that never grows.",
    epilog="Add --debug to any command to see where an error comes from.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lsc-cl {version('lsc_continual')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """Options of all commands."""


app.command()(learn)
app.command()(forget)
app.command()(merge)
app.command()(run)
app.command()(resume)
app.command()(stream)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(ls)
app.command()(show)
app.command()(bench)
app.command()(doctor)


def complain(message: str) -> None:
    if is_first():
        say(console_for_progress(), f"error: {message}")


def main() -> None:
    """Run the command line; an error that the user can mend is one sentence and exit code 2."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        check_options(app, arguments)
        app(args=arguments)
    except LSCError as error:
        if debug:
            raise
        for sentence in getattr(error, "sentences", [str(error)]):
            complain(sentence)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        reason = f"{type(error).__name__}: {first_line(error)}"
        complain(f"this should not have happened ({reason}): run again with --debug and report it")
        sys.exit(1)


if __name__ == "__main__":
    main()
