"""The ``automl-opt`` command: subcommands load when called, errors are one to three lines."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from automl_opt.core.errors import AutomlOptError

COMMANDS = {
    "run": "automl_opt.cli.run:run",
    "status": "automl_opt.cli.report:status",
    "report": "automl_opt.cli.report:report",
    "plugins": "automl_opt.cli.plugins:plugins",
    "db": "automl_opt.cli.db:db",
}
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """Our commands by dotted path, and then those that plugins add."""

    _with_plugins = False

    def _add_plugin_commands(self) -> None:
        if not self._with_plugins:
            self._with_plugins = True
            from automl_opt.plugin.host import load_host

            load_host().notify("automl_opt_commands", cli=self)

    def list_commands(self, context: click.Context) -> list[str]:
        self._add_plugin_commands()
        return [*COMMANDS, *sorted(name for name in self.commands if name not in COMMANDS)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        self._add_plugin_commands()
        return super().get_command(context, name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="automl-opt", prog_name="automl-opt")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Find out which optimizer, schedule and regularization should train a model.

    \b
    automl-opt run studies/digits          run a study; the same command goes on with it
    automl-opt report studies/digits       rank its arms
    automl-opt plugins list                what can be searched
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given  # wherever it stands
    try:
        result: Any = cli.main(
            [word for word in given if word != "--debug"], "automl-opt", standalone_mode=False
        )
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except AutomlOptError as error:
        if debug:
            raise
        click.echo(f"{click.style('Error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(getattr(error, "exit_code", EXIT_BAD_INPUT))
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(result if isinstance(result, int) else 0)
