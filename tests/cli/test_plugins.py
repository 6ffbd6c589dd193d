"""``automl-opt plugins`` beside broken, misspelt, too new, clashing and sharing plugins."""

from __future__ import annotations

import json

import pytest

from .shell import QUIET, STUDY, automl_opt, write_study

UNUSABLE = ("broken", "misspelt", "unmarked", "too_new")


OWN = """
from automl_opt.api import Float, OptimizerSpec, hookimpl


@hookimpl
def automl_opt_optimizers():
    lr = Float(1e-3, 1e-1, log=True, default=1e-2)
    yield OptimizerSpec(name="tiptoe", torch="torch.optim:SGD", params={"lr": lr})
"""
"""A plugin with an optimizer that nobody else offers."""


@pytest.fixture
def seeing(installed):
    """The environment in which a process sees the installed fixture plugins."""
    return lambda: {**QUIET, **installed.environment()}


def test_plugins_that_do_not_load_are_listed_with_their_reasons_beside_those_that_do(
    installed, seeing, tmp_path
):
    installed.add("healthy", *UNUSABLE)

    done = automl_opt("plugins", "list", folder=tmp_path, environment=seeing())

    assert done.code == 0
    status = {line.split()[0]: line.split()[3] for line in done.out.splitlines()[1:7]}
    assert status == {
        "builtin": "loaded",
        "acme": "loaded",
        "broken": "failed",
        "misspelt": "failed",
        "unmarked": "failed",
        "tomorrow": "failed",
    }
    reasons = dict(line.split(": ", 1) for line in done.err.splitlines())
    assert reasons["broken"] == "import failed: ModuleNotFoundError: No module named 'apex'"
    assert "automl_opt_optimisers; did you mean 'automl_opt_optimizers'?" in reasons["misspelt"]
    assert "is not marked with @hookimpl" in reasons["unmarked"]
    assert "needs plugin API 99" in reasons["tomorrow"]
    assert "acme.lion" in done.out
    assert "builtin.adamw" in done.out


def test_the_list_as_json_is_all_of_standard_output(installed, seeing, tmp_path):
    installed.add("healthy", "broken").write("left", OWN).write("right", OWN)

    done = automl_opt("plugins", "list", "--json", folder=tmp_path, environment=seeing())

    data = json.loads(done.out)
    plugins = {plugin["name"]: plugin for plugin in data["plugins"]}
    assert plugins["acme"]["status"] == "loaded"
    assert plugins["acme"]["distribution"] == "acme-optimizers"
    assert plugins["acme"]["version"] == "1.2.0"
    assert plugins["acme"]["components"] == 3
    assert "apex" in plugins["broken"]["reason"]
    assert {"acme.lion", "left.tiptoe", "builtin.adamw"} <= {c["id"] for c in data["components"]}
    shared = {"kind": "optimizer", "name": "tiptoe", "ids": ["left.tiptoe", "right.tiptoe"]}
    assert shared in data["shared_names"]


def test_the_list_of_one_kind_has_no_other(tmp_path):
    done = automl_opt("plugins", "list", "--kind", "pruner", "--json", folder=tmp_path)

    kinds = {component["kind"] for component in json.loads(done.out)["components"]}
    assert kinds == {"pruner"}


def test_two_plugins_of_one_name_are_both_refused_and_both_named(installed, seeing, tmp_path):
    installed.add("healthy", "clashing")

    done = automl_opt("plugins", "list", folder=tmp_path, environment=seeing())

    assert done.code == 0
    assert done.err.splitlines() == [
        "acme: clash: plugin 'acme' is provided by acme-imitation 0.9.0 and by acme-optimizers "
        "1.2.0; uninstall all but one"
    ]
    assert "acme.lion" not in done.out


def test_only_plugins_on_the_allow_list_load(installed, seeing, tmp_path):
    installed.add("healthy", "sharing")
    environment = {**seeing(), "AUTOML_OPT_PLUGINS": "umbrella"}

    done = automl_opt("plugins", "list", folder=tmp_path, environment=environment)

    assert done.code == 0
    assert "acme: not in the allow-list AUTOML_OPT_PLUGINS" in done.err
    assert "acme.lion" not in done.out
    assert "umbrella.lion" in done.out


def test_show_tells_parameters_ranges_defaults_source_and_provider(installed, seeing, tmp_path):
    installed.add("healthy")

    done = automl_opt("plugins", "show", "acme.lion", folder=tmp_path, environment=seeing())

    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines == [
        "optimizer acme.lion the sign of an interpolated momentum",
        "source arXiv:2302.06675",
        "version 1",
        "plugin acme-optimizers 1.2.0",
        "lr 0.0001 … 0.01, log, default 0.001",
        "beta1 0.8 … 0.99, default 0.9",
        "beta2 0.9 … 0.999, default 0.99",
        "decay 1e-06 … 1, log, default 0.01",
    ]


def test_show_by_short_name_shows_every_component_of_that_name(installed, seeing, tmp_path):
    installed.write("left", OWN).write("right", OWN)

    done = automl_opt("plugins", "show", "tiptoe", "--json", folder=tmp_path, environment=seeing())

    assert [c["id"] for c in json.loads(done.out)] == ["left.tiptoe", "right.tiptoe"]


def test_show_says_why_the_plugin_of_a_component_is_not_there(installed, seeing, tmp_path):
    installed.add("healthy", *UNUSABLE)

    done = automl_opt("plugins", "show", "broken.sgd", folder=tmp_path, environment=seeing())

    assert done.code == 2
    assert done.err.splitlines()[1:] == [
        "Plugin 'broken' is not loaded: import failed: ModuleNotFoundError: No module named 'apex'"
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken.sgd", "No module named 'apex'"),
        ("misspelt.sgd", "there is no hook automl_opt_optimisers"),
        ("tomorrow.sgd", "needs plugin API 99"),
    ],
)
def test_a_study_that_needs_a_plugin_that_did_not_load_stops_with_the_reason(
    installed, seeing, tmp_path, name, reason
):
    installed.add(*UNUSABLE)
    folder = write_study(tmp_path / "study", STUDY.replace("sgd", name))

    done = automl_opt("run", ".", folder=folder, environment=seeing())

    assert done.code == 2
    assert "study.toml, [space] optimizer: " in done.err
    assert reason in done.err
    assert len(done.err.splitlines()) == 2
    assert not (folder / "automl_opt.db").exists()


def test_a_study_with_a_misspelt_name_is_told_that_plugins_are_missing(installed, seeing, tmp_path):
    installed.add(*UNUSABLE)
    folder = write_study(tmp_path / "study", STUDY.replace("sgd", "tiptoe"))

    done = automl_opt("run", ".", folder=folder, environment=seeing())

    assert done.code == 2
    assert done.err.splitlines()[1:] == [
        "Plugins 'broken', 'misspelt', 'tomorrow', 'unmarked' are not loaded: "
        "'automl-opt plugins list' says why"
    ]


@pytest.mark.parametrize(
    ("name", "arm"), [("acme.lion", "acme.lion"), ("tiptoe", "left.tiptoe")], ids=["id", "short"]
)
def test_a_study_runs_a_plugins_optimizer_beside_a_broken_plugin(
    installed, seeing, tmp_path, name, arm
):
    installed.add("healthy", "broken").write("left", OWN)
    folder = write_study(tmp_path / "study", STUDY.replace("sgd", name))

    done = automl_opt("run", ".", "--json", folder=folder, environment=seeing())

    assert done.code == 0, done.err
    ranking = json.loads(done.out)
    assert {arm["arm"]: arm["complete"] for arm in ranking["arms"]} == {"adamw": 2, arm: 2}


def test_a_short_name_that_two_plugins_offer_is_refused_by_a_study(installed, seeing, tmp_path):
    installed.write("left", OWN).write("right", OWN)
    folder = write_study(tmp_path / "study", STUDY.replace("sgd", "tiptoe"))

    done = automl_opt("run", ".", folder=folder, environment=seeing())

    assert done.code == 2
    assert done.err == (
        "Error: study.toml, [space] optimizer: optimizer 'tiptoe' is offered by plugin 'left' "
        "(left-plugin 1.0) and by plugin 'right' (right-plugin 1.0); "
        "write left.tiptoe or right.tiptoe\n"
    )


COMMANDS = """
import click

from automl_opt.api import hookimpl


@click.command()
def greet():
    \"\"\"Say hello.\"\"\"
    click.echo("hello")


@hookimpl
def automl_opt_commands(cli):
    cli.add_command(greet)
"""


def test_a_plugin_adds_a_command_that_the_help_lists(installed, seeing, tmp_path):
    installed.write("greeter", COMMANDS)

    listed = automl_opt("--help", folder=tmp_path, environment=seeing())
    greeted = automl_opt("greet", folder=tmp_path, environment=seeing())

    assert "greet" in listed.out
    assert "Say hello." in listed.out
    assert (greeted.code, greeted.out) == (0, "hello\n")


def test_a_plugin_whose_commands_fail_is_warned_about_and_the_rest_works(
    installed, seeing, tmp_path
):
    installed.write("greeter", COMMANDS.replace("cli.add_command(greet)", "cli.greet()"))

    done = automl_opt("--help", folder=tmp_path, environment=seeing())

    assert done.code == 0
    assert "Rank the arms" in done.out
    assert done.err.startswith("Warning: plugin 'greeter' (greeter-plugin 1.0) failed in ")
    assert len(done.err.splitlines()) == 1
