"""The command ``deis`` itself: its commands, and what becomes of errors."""

from typing import IO, Any

import click

from deis.cli.compare import compare
from deis.cli.encode import encode
from deis.cli.interpolate import interpolate
from deis.cli.likelihood import likelihood
from deis.cli.listing import list_
from deis.cli.sample import sample
from deis.cli.solve import solve
from deis.cli.study import study
from deis.cli.tune import tune
from deis.errors import DeisError, UnknownNameError
from deis.version import __version__


class _Failure(click.ClickException):
    """An error of the library, shown as one line; exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", file=file, err=True)


class _Commands(click.Group):
    """A group that turns errors of the library into failures and shows near misses of its commands."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DeisError as error:
            raise _Failure(str(error)) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise click.UsageError(str(UnknownNameError("command", name, self.list_commands(ctx))), ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    commands=[list_, sample, solve, compare, encode, interpolate, likelihood, tune, study],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExamples:\n  deis sample --model digits --label 3 --nfe 8 --outdir threes\n"
    "  deis solve --problem burgers --integrator krogstad --intervals 100 --outdir burgers",
)
@click.version_option(__version__, prog_name="deis")
def cli() -> None:
    """Exponential integrators for diffusion sampling and stiff ODEs.

    Exit codes: 0, 1 for a failure, 2 for a command that cannot be understood.
    """
