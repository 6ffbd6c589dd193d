"""``automl-opt plugins`` beside broken, misspelt, too new, clashing and sharing plugins."""

from __future__ import annotations

import json

import pytest

from .shell import STUDY, automl_opt, write_study

UNUSABLE = ("broken", "misspelt", "unmarked", "too_new")


OWN = """
from automl_opt.api import Float, OptimizerSpec, hookimpl


@hookimpl
def automl_opt_optimizers():
    lr = Float(1e-3, 1e-1, log=True, default=1e-2)
    yield OptimizerSpec(name="tiptoe", torch="torch.optim:SGD", params={"lr": lr})
"""
"""A plugin with an optimizer that nobody else offers."""


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


DECLARING = """
from automl_opt.api import Float, OptimizerSpec, RegularizerSpec, hookimpl


def wrap(optimizer, *, rho):
    return optimizer


@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(name="around", wrap=wrap, params={"rho": Float(0, 1)})
    yield OptimizerSpec(
        name="heavy",
        torch="torch.optim:SGD",
        params={"lr": Float(0.1, 1), "momentum": Float(0, 0.9), "weight_decay": Float(0, 0.1)},
        decay="weight_decay",
        generalises={"sgd": {"momentum": 0.0}},
        expected_failures={"twin": "there is no other"},
    )


@hookimpl
def automl_opt_regularizers():
    yield RegularizerSpec(name="both", model=wrap, stop=wrap)
"""
"""What a component may declare beside its ranges."""


def lines_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("around", "wraps another optimizer"),
        ("heavy", "generalises sgd, at momentum = 0.0"),
        ("heavy", "expected failure twin: there is no other"),
        ("heavy", "decay weight_decay"),
        ("both", "hooks model, stop"),
    ],
)
def test_show_tells_what_else_a_component_declares(installed, seeing, tmp_path, name, says):
    installed.write("some", DECLARING)

    done = automl_opt("plugins", "show", name, folder=tmp_path, environment=seeing())

    assert says in lines_of(done.out)


def test_show_of_a_wrapper_around_another_shows_both(installed, seeing, tmp_path):
    installed.write("some", DECLARING)

    words = ("plugins", "show", "around(heavy)")
    done = automl_opt(*words, folder=tmp_path, environment=seeing())
    data = automl_opt(*words, "--json", folder=tmp_path, environment=seeing())

    lines = lines_of(done.out)
    assert lines[0] == "optimizer some.around(some.heavy)"
    assert "rho 0 … 1, default 0.5" in lines
    assert "optimizer some.heavy" in lines
    around, heavy = json.loads(data.out)
    assert (around["id"], around["wraps"]) == ("some.around", True)
    assert (heavy["id"], heavy["wraps"]) == ("some.heavy", False)
    assert heavy["generalises"] == {"sgd": {"momentum": 0.0}}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("heavy(around)", "some.heavy wraps nothing"),
        ("around(heavi)", "no optimizer named 'heavi'; did you mean"),
        ("arund(heavy)", "no component named 'arund'; did you mean"),
        ("around(heavy", "does not read as WRAPPER(COMPONENT)"),
    ],
)
def test_a_wrapper_that_does_not_read_is_refused(installed, seeing, tmp_path, name, says):
    installed.write("some", DECLARING)

    done = automl_opt("plugins", "show", name, folder=tmp_path, environment=seeing())

    assert done.code == 2
    assert says in done.err


def test_the_list_marks_wrappers_and_counts_every_kind(installed, seeing, tmp_path, catalog):
    installed.write("some", DECLARING)

    done = automl_opt("plugins", "list", folder=tmp_path, environment=seeing())
    data = automl_opt("plugins", "list", "--json", folder=tmp_path, environment=seeing())

    assert " some.around(…) " in done.out
    assert " some.heavy " in done.out
    optimizers = len(catalog.components("optimizer")) + 2
    assert json.loads(data.out)["counts"] == {
        "optimizer": optimizers,
        "scheduler": len(catalog.components("scheduler")),
        "regularizer": len(catalog.components("regularizer")) + 1,
        "initializer": len(catalog.components("initializer")),
        "strategy": len(catalog.components("strategy")),
        "pruner": len(catalog.components("pruner")),
    }
    last = done.out.splitlines()[-1]
    assert last.startswith(f"{optimizers} optimizers, ")
    assert last.endswith(f", {len(catalog.components('pruner'))} pruners")
    assert " strategies, " in last


def test_the_count_of_one_kind_is_of_that_kind(installed, seeing, tmp_path):
    done = automl_opt("plugins", "list", "--kind", "strategy", folder=tmp_path)

    assert done.out.splitlines()[-1].endswith(" strategies")
    assert "," not in done.out.splitlines()[-1]


@pytest.mark.parametrize("place", ["first", "last"])
def test_without_plugins_only_what_ships_with_automl_opt_loads(installed, seeing, tmp_path, place):
    installed.add("healthy", "broken").write("bomb", "raise SystemExit(3)")
    words = ["plugins", "list"]
    words = ["--no-plugins", *words] if place == "first" else [*words, "--no-plugins"]

    done = automl_opt(*words, folder=tmp_path, environment=seeing())

    assert done.code == 0
    assert done.err.splitlines() == [
        f"{name}: left out by --no-plugins" for name in ("acme", "bomb", "broken")
    ]
    assert "acme.lion" not in done.out
    assert "builtin.lion" in done.out


def test_without_plugins_a_component_of_a_plugin_is_not_shown(installed, seeing, tmp_path):
    installed.add("healthy")

    done = automl_opt(
        "--no-plugins", "plugins", "show", "acme.lion", folder=tmp_path, environment=seeing()
    )

    assert done.code == 2
    assert "Plugin 'acme' is not loaded: left out by --no-plugins" in done.err


def test_without_plugins_a_study_that_needs_one_stops_and_any_other_runs(
    installed, seeing, tmp_path
):
    installed.add("healthy").write("greeter", COMMANDS)
    needing = write_study(tmp_path / "needing", STUDY.replace("sgd", "acme.lion"))
    other = write_study(tmp_path / "other", STUDY)

    refused = automl_opt("run", ".", "--no-plugins", folder=needing, environment=seeing())
    done = automl_opt("run", ".", "--no-plugins", folder=other, environment=seeing())

    assert refused.code == 2
    assert "Plugin 'acme' is not loaded: left out by --no-plugins" in refused.err
    assert done.code == 0, done.err


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


def test_without_plugins_their_commands_are_not_there(installed, seeing, tmp_path):
    installed.write("greeter", COMMANDS)

    listed = automl_opt("--no-plugins", "--help", folder=tmp_path, environment=seeing())
    greeted = automl_opt("greet", "--no-plugins", folder=tmp_path, environment=seeing())

    assert (listed.code, greeted.code) == (0, 2)
    assert "greet" not in listed.out
    assert "--no-plugins Load only what ships with automl-opt." in lines_of(listed.out)
    assert "no command named 'greet'" in greeted.err
