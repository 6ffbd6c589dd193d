"""``automl-opt run`` and ``worker``: run a study, go on with it, or help with it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from automl_opt.cli.options import (
    echo_json,
    installed_plugins,
    json_option,
    read_study,
    storage_option,
    study_argument,
)

if TYPE_CHECKING:
    from automl_opt.core.spec import StudySpec
    from automl_opt.plugin.catalog import Catalog
    from automl_opt.plugin.host import Host
    from automl_opt.search.space import RecipeSpace


AUTO = "auto"


class WorkerCount(click.ParamType):
    """A whole number, or ``auto``."""

    name = "count"

    def convert(self, value: Any, param: Any, context: Any) -> int | str:
        if value == AUTO:
            return AUTO
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {AUTO!r}", param, context)


def _training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What decides how a process trains, whether it runs a study or helps with one."""
    for option in (
        json_option,
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any key of the study file.",
        ),
        storage_option,
        click.option(
            "--ray-address", metavar="HOST:PORT", help="The cluster to use; or RAY_ADDRESS."
        ),
        click.option(
            "--executor", metavar="NAME", help="What trains: processes, or ray: its actors."
        ),
        click.option(
            "--workers",
            type=WorkerCount(),
            metavar="N",
            help="Processes that train; auto: one a GPU, else one a core.",
        ),
        click.option("--together", metavar="K", help="Trials in training at a time, or auto."),
        click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps."),
    ):
        command = option(command)
    return command


@click.command()
@study_argument
@click.option("--trials", type=int, metavar="N", help="Trials an arm.")
@click.option("--time", "time_limit", metavar="TIME", help="Training time in all: 90s, 10m, 1h30m.")
@click.option("--seed", type=int, metavar="N", help="Seed of everything random.")
@_training_options
def run(
    study: str,
    storage: str | None,
    as_json: bool,
    settings: tuple[str, ...],
    **given: Any,
) -> int:
    """Run a study, or go on with it.

    STUDY is a study.toml or its folder; at the end its arms are ranked. Ctrl-C finishes the
    running epoch and keeps everything; the same command goes on. Once the budget is spent it
    prints the ranking again.

    \b
    automl-opt run studies/digits
    automl-opt run studies/digits --trials 40 --time 10m
    automl-opt run studies/digits --set training.epochs=5 --storage sqlite:///try.db
    """
    all_of_machine = _counts_workers(given)
    spec, url = read_study(study, [*settings, *_as_settings(given)], storage)
    host = installed_plugins()
    _check_names(spec, host.catalog)
    return _train(spec, url, host, as_json, all_of_machine=all_of_machine)


@click.command()
@study_argument
@_training_options
def worker(
    study: str,
    storage: str | None,
    as_json: bool,
    settings: tuple[str, ...],
    **given: Any,
) -> int:
    """Help with a study that has begun, until it is done.

    STUDY is the same study.toml or folder, the database the same one: a server's for several
    machines, a file for several processes of one. Every process asks for trials by itself; one
    that is lost leaves its trials to the others. How many trials there are is the study's.

    \b
    automl-opt worker studies/digits --storage postgresql+psycopg://me@db.example.org/studies
    automl-opt worker studies/digits --device cuda:1
    """
    all_of_machine = _counts_workers(given)
    spec, url = read_study(study, [*settings, *_as_settings(given)], storage)
    return _train(spec, url, installed_plugins(), as_json, all_of_machine=all_of_machine, join=True)


KEYS = {
    "trials": "search.trials",
    "time_limit": "search.time_limit",
    "seed": "seed",
    "device": "training.device",
    "together": "training.together",
    "workers": "training.workers",
    "executor": "training.executor",
    "ray_address": "training.ray_address",
}
"""What an option sets in the study file."""

_TEXTS = ("time_limit", "device")


def _counts_workers(given: dict[str, Any]) -> bool:
    """Whether ``--workers auto`` is among the options, which is then taken out: no file has it."""
    if given["workers"] != AUTO:
        return False
    given["workers"] = None
    return True


def _as_settings(given: Mapping[str, Any]) -> list[str]:
    return [
        f'{KEYS[name]}="{value}"' if name in _TEXTS else f"{KEYS[name]}={value}"
        for name, value in given.items()
        if value is not None
    ]


def _train(
    spec: StudySpec,
    url: str,
    host: Host,
    as_json: bool,
    *,
    all_of_machine: bool,
    join: bool = False,
) -> int:
    from automl_opt.cli.progress import open_progress
    from automl_opt.cli.report import echo_ranking
    from automl_opt.store import Store

    with (
        Store.open(url, must_exist=join) as store,
        redirect_stdout(sys.stderr) if as_json else nullcontext(),  # a task may print
        open_progress(store.trials(spec.name)) as progress,
    ):
        from automl_opt.study import runner  # with torch, after all that can fail without it

        if all_of_machine:
            from automl_opt.training.processes import workers_here

            spec = replace(spec, workers=workers_here(spec))
        outcome = runner.run(spec, host=host, store=store, progress=progress, join=join)

    if as_json:
        echo_json({**outcome.ranking.data(), "stopped": outcome.stopped})
    else:
        echo_ranking(outcome.ranking)
    if outcome.stopped is None:
        return 0
    again = shlex.join(["automl-opt", *_own_arguments()])
    if outcome.stopped == "time limit":
        click.echo("Time limit reached. A longer --time goes on.", err=True)
        return 0
    click.echo(f"Stopped by {outcome.stopped}. Nothing is lost; go on with: {again}", err=True)
    import signal

    return 128 + signal.Signals[outcome.stopped].value


def _check_names(spec: StudySpec, catalog: Catalog) -> None:
    """Refuse wrong names and ranges now: importing torch and the task takes seconds.

    Raises:
        AutomlOptError: what the run would raise for them.
    """
    from automl_opt.search.space import arms_of

    arms = arms_of(spec, catalog, model={})
    for kind, choice in (("strategy", spec.strategy), ("pruner", spec.pruner)):
        with spec.blame(f"[search] {kind}"):
            catalog.find(kind, choice.name)
    strategy = catalog.find("strategy", spec.strategy.name)
    if not strategy.has("priors") and _has_priors(spec, arms):
        users = [c.label for c in catalog.components("strategy") if c.has("priors")]
        click.echo(
            f"strategy {strategy.label} does not use priors, only the defaults they set; "
            f"these do: {', '.join(users)}",
            err=True,
        )


def _has_priors(spec: StudySpec, arms: Sequence[RecipeSpace]) -> bool:
    """Whether a component or the study file gives one; the task is not read yet."""
    own = spec.overrides.get("model", {}).values()
    if any(isinstance(override, Mapping) and "prior" in override for override in own):
        return True
    entries = [entry for arm in arms for entry in arm.space.entries]
    return any(getattr(entry.param, "prior", None) for entry in entries)


def _own_arguments() -> list[str]:
    return sys.argv[1:]
