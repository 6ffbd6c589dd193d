"""The ``automl-opt`` command: subcommands load when called, errors are one to three lines."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from automl_opt.cli.group import Group
from automl_opt.core.errors import AutomlOptError

COMMANDS = {
    "run": "automl_opt.cli.run:run",
    "worker": "automl_opt.cli.run:worker",
    "probe": "automl_opt.cli.probe:probe",
    "status": "automl_opt.cli.report:status",
    "report": "automl_opt.cli.report:report",
    "select": "automl_opt.cli.select:select",
    "compare": "automl_opt.cli.compare:compare",
    "export": "automl_opt.cli.export:export",
    "replay": "automl_opt.cli.export:replay",
    "plugins": "automl_opt.cli.plugins:plugins",
    "db": "automl_opt.cli.db:db",
}
EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises for a group without a command: the help is its message. 8.1 has none."""


class LazyGroup(Group):
    """Our commands by dotted path, and then those that plugins add."""

    _with_plugins = False

    def _add_plugin_commands(self, context: click.Context) -> None:
        if self._with_plugins or context.params.get("no_plugins"):
            return
        self._with_plugins = True
        from importlib.metadata import entry_points

        found = entry_points(group="automl_opt")
        if all(entry.value.startswith("automl_opt.") for entry in found):
            return  # ours are in COMMANDS: without other plugins, help needs none loaded
        from automl_opt.plugin.host import load_host

        load_host().notify("automl_opt_commands", cli=self)

    def list_commands(self, context: click.Context) -> list[str]:
        self._add_plugin_commands(context)
        return [*COMMANDS, *sorted(name for name in self.commands if name not in COMMANDS)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        self._add_plugin_commands(context)
        return super().get_command(context, name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="automl-opt", prog_name="automl-opt")
@click.option(
    "--no-plugins", is_flag=True, is_eager=True, help="Load only what ships with automl-opt."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(no_plugins: bool, debug: bool) -> None:
    """Find out which optimizer, schedule and regularization should train a model.

    \b
    automl-opt run studies/digits          run a study; the same command goes on with it
    automl-opt worker studies/digits       help with it, from another machine too
    automl-opt probe studies/digits        which of its trials can be trained several at once
    automl-opt status studies/digits       how far it is
    automl-opt report studies/digits       rank its arms
    automl-opt select studies/digits       which recipe, and how sure
    automl-opt export studies/digits       that recipe as a plain torch script
    automl-opt plugins list                what can be searched
    automl-opt plugins check acme          whether a plugin keeps its promises
    automl-opt plugins new --help          begin one of your own

    Other people's plugins load unless --no-plugins is given, or AUTOML_OPT_PLUGINS names those
    that may: AUTOML_OPT_PLUGINS=acme,umbrella.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug, no_plugins = "--debug" in given, "--no-plugins" in given  # wherever they stand
    rest = [word for word in given if word not in ("--debug", "--no-plugins")]
    with warnings.catch_warnings():
        if not debug:
            warnings.showwarning = _show_warning
        code = _run(["--no-plugins", *rest] if no_plugins else rest, debug)
    gc.freeze()  # Python would end by looking through all of torch for garbage
    sys.exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    """The exit code of a command line."""
    try:
        result: Any = cli.main(arguments, "automl-opt", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return EXIT_INTERRUPTED
    except click.UsageError as error:
        _show_usage_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AutomlOptError as error:
        if debug:
            raise
        _show_error(str(error))
        code: int = getattr(error, "exit_code", EXIT_BAD_INPUT)
        return code
    except OSError as error:  # a full disk, a file taken away: the machine's, not the program's
        if debug:
            raise
        _show_error(str(error))
        return EXIT_FAILED
    return result if isinstance(result, int) else 0


def _show_error(message: str) -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)


def _show_usage_error(error: click.UsageError) -> None:
    """What was wrong first, then where help is."""
    if error.ctx is None or isinstance(error, HELP):
        error.show()
        return
    _show_error(error.format_message())
    click.echo(f"'{error.ctx.command_path} --help' shows what there is.", err=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    """One line without the place in our code, which only --debug shows."""
    click.echo(f"{click.style('Warning:', fg='yellow', bold=True)} {message}", err=True)
