"""``automl-opt probe``: which trials of a study can be trained several at once."""

from __future__ import annotations

from dataclasses import asdict

import click

from automl_opt.cli.options import (
    echo_json,
    installed_plugins,
    json_option,
    read_study,
    study_argument,
)
from automl_opt.cli.table import echo_table


@click.command()
@study_argument
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of the study file."
)
@json_option
def probe(study: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Say which trials of a study can be trained several at once.

    STUDY is a study.toml or its folder. Every arm is tried at its defaults, and every regularizer
    in the first arm: stacked trials are held against trials alone, and timed. Nothing is kept.

    \b
    automl-opt probe studies/digits
    """
    spec, _ = read_study(study, list(settings), None)
    host = installed_plugins()
    from automl_opt.study.probing import Probed, probe_study  # with torch

    def said(found: Probed) -> str:
        if found.refusal is not None:
            return f"one by one: {found.refusal}"
        if found.fits is not None and found.fits < 2:
            return "one by one: a stack does not fit into memory"
        if found.smallest is None:
            return "one by one: a stack was not faster"
        stacks = f"stacks, from {found.smallest} trials of a shape on"
        if found.memory is None or found.fits is None:
            return stacks
        return f"{stacks}; {found.memory / 2**20:.1f} MiB a trial, {found.fits} fit"

    found = probe_study(spec, host=host)
    if as_json:
        echo_json([asdict(each) for each in found])
    else:
        echo_table(["arm", "trained in"], [[each.name, said(each)] for each in found])
