"""An author's test file of two lines, run by a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

REGISTERED = bool(entry_points(group="pytest11", name="automl_opt"))
LOADED = [] if REGISTERED else ["-p", "automl_opt.testing.pytest_plugin"]
"""How pytest finds the plugin: by its entry point, in a source tree without one by its name."""

PLUGIN = '''
"""A schedule, an initializer whose variance is not as stated, and one that says so (2026)."""

from automl_opt.api import InitializerSpec, SchedulerSpec, hookimpl


def halve(step, total):
    return 0.5


def fill(tensor, generator):
    tensor.normal_(0.0, 0.1, generator=generator)


@hookimpl
def automl_opt_schedulers():
    yield SchedulerSpec(name="half", factor=halve)


@hookimpl
def automl_opt_initializers():
    yield InitializerSpec(name="small", init=fill, variance=lambda shape: 0.5)
    yield InitializerSpec(
        name="honest",
        init=fill,
        variance=lambda shape: 0.5,
        expected_failures={"variance": "the paper states it wrongly"},
    )
'''

TEST = """
from automl_opt.testing import conformance

test_conformance = conformance("acme")
"""


@pytest.fixture
def run(installed, tmp_path):
    """Run pytest on a test file in a folder of its own."""

    def run(*arguments, plugin=PLUGIN, test=TEST):
        installed.write("acme", plugin)
        file = tmp_path / "author" / "test_acme.py"
        file.parent.mkdir()
        file.write_text(test, encoding="utf-8")
        (file.parent / "pytest.ini").write_text("[pytest]\n")
        return subprocess.run(
            [sys.executable, "-m", "pytest", *LOADED, *arguments],
            cwd=file.parent,
            env=installed.environment(),
            capture_output=True,
            text=True,
        )

    return run


def test_every_component_and_check_is_a_test_of_its_own(run):
    done = run("--collect-only", "-q", "-p", "no:cacheprovider")

    ids = [line for line in done.stdout.splitlines() if "::" in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_acme.py::test_conformance[acme.half-finite]" in ids
    assert "test_acme.py::test_conformance[acme.small-variance]" in ids
    assert len(ids) == len(set(ids))
    assert not [name for name in ids if "builtin." in name]


def test_a_failure_shows_its_message_and_an_expected_one_its_reason(run):
    done = run("-q", "-p", "no:cacheprovider")

    last = done.stdout.splitlines()[-1]
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in last
    assert "1 xfailed" in last
    assert "acme.small, check variance: at its defaults a weight of [256, 128]" in done.stdout
    assert "acme.honest-variance: the paper states it wrongly" in done.stdout
    assert "Traceback" not in done.stdout


def test_it_works_spread_over_processes(run):
    done = run("-q", "-p", "no:cacheprovider", "-n2", "-k", "variance")

    assert "1 failed, 1 xfailed" in done.stdout, done.stdout + done.stderr
    assert "acme.honest-variance: the paper states it wrongly" in done.stdout


@pytest.mark.parametrize(
    ("plugin", "test", "words"),
    [
        (PLUGIN, TEST.replace("acme", "acne"), "no plugin of this name is installed"),
        ("import nothing_of_the_kind", TEST, "import failed: ModuleNotFoundError"),
    ],
    ids=["not installed", "broken"],
)
def test_a_plugin_that_cannot_be_checked_says_why(run, plugin, test, words):
    done = run("-q", "-p", "no:cacheprovider", plugin=plugin, test=test)

    assert done.returncode != 0
    assert words in done.stdout + done.stderr
