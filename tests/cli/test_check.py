"""``automl-opt plugins check``: what it checks, what it prints, its exit codes."""

from __future__ import annotations

import json
import re

import pytest

from automl_opt.testing import checks_of

from .shell import QUIET, automl_opt
from .terminal import on_a_terminal

MIXED = """
from automl_opt.api import SchedulerSpec, hookimpl

PAPER = "nobody 2020"


def half(step, total):
    return 0.5


def sink(step, total):
    return 1 - step / total


@hookimpl
def automl_opt_schedulers():
    yield SchedulerSpec(name="half", factor=half, paper=PAPER)
    yield SchedulerSpec(name="sinking", factor=sink, paper=PAPER)
    why = {"finite": "the run ends\\n before"}
    yield SchedulerSpec(name="short", factor=sink, paper=PAPER, expected_failures=why)
"""
"""A schedule that keeps every promise, one that goes below 0 past its end, and one that says so."""

SINKS = r"failed +finite: .*factor is -0\.\d+ at step \d+ of \d+: it must be a finite .* number"


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def mixed(distributions, tmp_path_factory):
    """A check of the plugin with all three; and the environment that has it."""
    folder = tmp_path_factory.mktemp("site-packages")
    installed = distributions(folder).write("mixed", MIXED).add("healthy", "broken")
    environment = {**QUIET, **installed.environment()}
    return automl_opt("plugins", "check", "mixed", folder=folder, environment=environment), folder


@pytest.fixture
def run(mixed, distributions):
    """``automl-opt plugins check`` beside these plugins."""
    _, folder = mixed
    environment = {**QUIET, **distributions(folder).environment()}
    return lambda *words: automl_opt(
        "plugins", "check", *words, folder=folder, environment=environment
    )


def test_each_component_has_a_summary_and_a_line_for_every_check_that_did_not_pass(mixed):
    done, _ = mixed

    found = lines(done.out)
    assert re.fullmatch(r"scheduler mixed\.half \d+ passed", found[0])
    assert re.fullmatch(r"scheduler mixed\.short \d+ passed, 1 failed as expected", found[1])
    assert found[2] == "expected finite: the run ends before"
    assert re.fullmatch(r"scheduler mixed\.sinking \d+ passed, 1 failed", found[3])
    assert re.match(SINKS, found[4]), found[4]
    assert re.fullmatch(r"3 components: \d+ passed, 1 failed as expected, 1 failed", found[5])
    assert len(found) == 6


def test_a_check_that_failed_is_exit_code_1(mixed):
    done, _ = mixed

    assert (done.code, done.err) == (1, "")


def test_what_passes_or_fails_as_expected_is_exit_code_0(run):
    done = run("half", "mixed.short")

    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mixed-plugin", ["mixed.half", "mixed.short", "mixed.sinking"]),
        ("mixed_plugin", ["mixed.half", "mixed.short", "mixed.sinking"]),
        ("warmup(half)", ["builtin.warmup(mixed.half)"]),
    ],
    ids=["distribution", "package", "wrapper"],
)
def test_a_name_may_be_a_distribution_a_package_or_a_wrapper_around_another(name, found, run):
    done = run(name, "--json", "--check", "source")

    assert [c["component"] for c in json.loads(done.out)["components"]] == found


def test_json_is_all_of_standard_output_and_has_every_outcome(run, catalog):
    done = run("mixed", "adamw", "--json", "--check", "finite", "--check", "source")

    data = json.loads(done.out)
    assert done.code == 1
    assert (data["passed"], data["expected"], data["failed"]) == (5, 1, 1)
    half, short, sinking, adamw = data["components"]
    assert [outcome["status"] for outcome in half["outcomes"]] == ["passed", "passed"]
    assert short["outcomes"][1] == {
        "check": "finite",
        "status": "expected",
        "message": "the run ends\n before",
    }
    assert sinking["outcomes"][1]["status"] == "failed"
    assert [outcome["check"] for outcome in adamw["outcomes"]] == ["source"]
    assert {key: value for key, value in half.items() if key != "outcomes"} == {
        "component": "mixed.half",
        "kind": "scheduler",
        "version": 1,
        "plugin": "mixed",
        "distribution": "mixed-plugin",
        "distribution_version": "1.0",
    }


def test_every_check_of_a_component_is_put_to_it_once(run, catalog):
    constant = catalog.find("scheduler", "constant")

    done = run("builtin.constant", "--json")

    [component] = json.loads(done.out)["components"]
    asked = [outcome["check"] for outcome in component["outcomes"]]
    assert asked == [check.name for check in checks_of(constant)]


def test_kind_leaves_out_the_components_of_other_kinds(run):
    done = run("builtin", "--kind", "pruner", "--check", "source", "--json")

    assert {c["kind"] for c in json.loads(done.out)["components"]} == {"pruner"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("mixd",), "no plugin, distribution, package or component named 'mixd'; did you mean 'mi"),
        (("mixed.haf",), "did you mean 'mixed.half'?"),
        (("broken",), "plugin 'broken' (broken-optimizers 0.3.1) is not loaded: import failed: Mo"),
        (("broken-optimizers",), "No module named 'apex'"),
        (("broken.sgd",), "Plugin 'broken' is not loaded: import failed: ModuleNotFoundError"),
        (
            ("mixed", "--check", "finit"),
            "--check finit: no such check of these 3; did you mean 'fi",
        ),
        (("half", "--check", "vmap"), "--check vmap: no such check of mixed.half; allowed: finite"),
        (("mixed", "--kind", "pruner"), "mixed offers no pruner: there is nothing to check"),
        (("mixed", "--kind", "prunner"), "did you mean 'pruner'?"),
        (("half(constant)",), "mixed.half wraps nothing"),
        ((), "Missing argument 'NAME...'"),
    ],
)
def test_bad_input_is_exit_code_2_and_says_what_is_allowed(words, says, run):
    done = run(*words)

    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) <= 3
    assert done.out == ""


def test_no_plugins_leaves_out_what_does_not_ship_with_automl_opt(run):
    done = run("mixed", "--no-plugins")

    assert done.code == 2
    assert "plugin 'mixed' (mixed-plugin 1.0) is not loaded: left out by --no-plugins" in done.err


def test_on_a_terminal_what_is_being_checked_is_shown(tmp_path):
    code, seen = on_a_terminal("plugins", "check", "constant", "none", folder=tmp_path)

    assert code == 0
    assert "checking builtin.constant (1 of 2)" in seen
    assert "checking builtin.none (2 of 2)" in seen
    assert re.search(r"2 components: \d+ passed", seen)
