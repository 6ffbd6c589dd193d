"""``automl-opt run``: what is printed where, its options, its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from .shell import QUIET, STUDY, TASK, automl_opt, command, write_study
from .terminal import on_a_terminal, plain

ANSI = "\x1b["


@pytest.fixture(scope="module")
def piped(tmp_path_factory):
    """A first run with its output in pipes, and its folder."""
    folder = write_study(tmp_path_factory.mktemp("piped"))
    return automl_opt("run", ".", folder=folder), folder


def test_in_a_pipe_each_trial_that_ends_is_one_line_on_standard_error(piped):
    done, _ = piped

    assert done.code == 0
    lines = done.err.splitlines()
    assert lines[0] == "study line: 2 arms, 4 trials"
    assert len(lines) == 5
    for count, (arm, trial) in enumerate(
        [("adamw", 0), ("sgd", 0), ("adamw", 1), ("sgd", 1)], start=1
    ):
        form = rf"\[{count}/4\] {arm} #{trial}  complete  mse [\d.e+-]+  2 epochs  \d+\.\ds"
        assert re.fullmatch(form, lines[count]), lines[count]


@pytest.mark.parametrize(("strategy", "told"), [("random", 1), ("auto", 0)])
def test_a_prior_given_to_a_strategy_without_a_use_for_it_is_told_in_one_line(
    tmp_path, strategy, told
):
    study = STUDY.replace('"random"', f'"{strategy}"')
    prior = "lr = { prior = { center = 1e-3, spread = 3 } }"
    folder = write_study(tmp_path, f"{study}\n[ranges.optimizer.adamw]\n{prior}\n")

    done = automl_opt("run", ".", folder=folder)

    assert done.code == 0
    lines = [line for line in done.err.splitlines() if "prior" in line]
    assert len(lines) == told
    assert all(line.startswith("strategy random does not use priors") for line in lines)
    assert all("auto" in line and "tpe" not in line for line in lines)


def test_the_ranking_is_on_standard_output(piped):
    done, _ = piped

    lines = done.out.splitlines()
    assert lines[0] == "Which optimizer fits a line?"
    assert lines[1].split()[:4] == ["rank", "arm", "best", "test"]
    assert {lines[2].split()[1], lines[3].split()[1]} == {"adamw", "sgd"}
    best = [float(line.split()[2]) for line in lines[2:4]]
    assert best == sorted(best)


def test_in_a_pipe_nothing_is_coloured(piped):
    done, _ = piped

    assert ANSI not in done.out + done.err


def test_a_study_whose_budget_is_spent_prints_its_ranking_again(piped):
    done, folder = piped

    again = command([sys.executable, "-m", "automl_opt", "run", "."], folder)

    assert again.code == 0
    assert again.out == done.out
    assert again.err == "study line: 2 arms, 4 trials, 4 of them done\n"


def test_the_module_and_the_program_are_the_same(piped):
    _, folder = piped
    program = shutil.which("automl-opt", path=os.path.dirname(sys.executable))
    assert program is not None

    for arguments in (["--help"], ["report", "."], ["run", ".", "--trials", "0"]):
        assert command([program, *arguments], folder) == automl_opt(*arguments, folder=folder)


def test_on_a_terminal_a_live_table_has_a_line_an_arm_and_the_ranking_follows(tmp_path):
    folder = write_study(tmp_path / "study")

    code, shown = on_a_terminal("run", ".", "--trials", "4", folder=folder)

    assert code == 0
    assert ANSI in shown
    text = plain(shown)
    last = text[text.rindex("line: 8/8 trials") :]
    assert "left" not in last.splitlines()[0]
    for head in ("arm", "ended", "failed", "best mse", "last", "in training"):
        assert head in last
    assert re.search(r"│ adamw +│ +4 │", last)
    assert re.search(r"│ sgd +│ +4 │", last)
    assert "[1/8]" not in text
    assert last.index("Which optimizer fits a line?") > last.index("│ sgd")


def test_on_a_terminal_the_table_of_a_study_that_goes_on_counts_earlier_trials(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "study")
    ranking = json.loads(automl_opt("report", ".", "--json", folder=folder).out)
    best = {arm["arm"]: arm["best"] for arm in ranking["arms"]}

    code, shown = on_a_terminal("run", ".", folder=folder)

    assert code == 0
    text = plain(shown)
    assert "line: 4/4 trials" in text
    for arm in ("adamw", "sgd"):
        assert re.search(rf"│ {arm} +│ +2 │ +│ +{best[arm]:.4g} │", text)


def test_on_a_terminal_an_error_is_short_too(tmp_path):
    folder = write_study(tmp_path / "study", STUDY.replace("adamw", "adamv"))

    code, shown = on_a_terminal("run", ".", folder=folder)

    assert code == 2
    assert plain(shown).startswith("Error: study.toml, [space] optimizer: no optimizer named")
    assert len(plain(shown).strip().splitlines()) == 1


def test_json_is_all_of_standard_output_even_when_the_task_prints(tmp_path):
    task = TASK.replace("    x = ", '    print("reading the data")\n    x = ')
    folder = write_study(tmp_path / "study", task=task)

    done = automl_opt("run", ".", "--json", "--trials", "1", folder=folder)

    ranking = json.loads(done.out)
    assert ranking["study"] == "line"
    assert ranking["finished"] is True
    assert ranking["stopped"] is None
    assert [arm["complete"] for arm in ranking["arms"]] == [1, 1]
    assert "reading the data" in done.err


def test_trials_set_seed_and_storage_take_the_place_of_the_study_file(tmp_path):
    folder = write_study(tmp_path / "study")

    def best(name: str, seed: int) -> list[float]:
        done = automl_opt(
            *("run", ".", "--trials", "1", "--set", "training.epochs=1", "--json"),
            *("--seed", str(seed), "--storage", f"sqlite:///{name}.db"),
            folder=folder,
        )
        assert "[2/2]" in done.err
        assert done.err.count("  1 epochs  ") == 2
        return [arm["best"] for arm in json.loads(done.out)["arms"]]

    first, other = best("first", 1), best("other", 2)

    assert first != other
    assert {file.name for file in folder.glob("*.db")} == {"first.db", "other.db"}


def test_the_time_limit_ends_a_run_with_code_0_and_a_longer_one_goes_on(tmp_path):
    folder = write_study(tmp_path / "study")
    endless = ("--set", "training.epochs=100000", "--set", "search.trials=1")

    first = automl_opt("run", ".", "--time", "0.2s", *endless, folder=folder)
    second = automl_opt("run", ".", "--time", "0.4s", *endless, folder=folder)

    assert (first.code, second.code) == (0, 0)
    assert "Time limit reached. A longer --time goes on." in first.err
    assert "Preliminary" in first.out
    assert re.search(r"^adamw #0 goes on after epoch \d+$", second.err, re.MULTILINE)


def test_a_study_whose_every_trial_fails_ends_with_code_1_and_the_reason(tmp_path):
    study = STUDY.replace('"adamw", "sgd"', '"sgd"').replace("trials = 2", "trials = 9")
    lr = "\n[ranges.optimizer.sgd]\nlr = { low = 1e37, high = 1e38 }\n"
    folder = write_study(tmp_path / "study", study + lr)

    done = automl_opt("run", ".", folder=folder)

    assert done.code == 1
    assert "study 'line' stops: all 3 trials so far failed" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "command",
    ["run", "probe", "status", "report", "plugins list", "plugins show", "db check", "db upgrade"],
)
def test_the_help_of_a_command_shows_an_example_of_it(command, tmp_path):
    done = automl_opt(*command.split(), "--help", folder=tmp_path)

    assert done.code == 0
    assert f"automl-opt {command} " in done.out.split("Usage:")[1].split("\n", 1)[1]


def test_the_help_describes_every_command_in_a_whole_sentence(tmp_path):
    for group in ((), ("plugins",), ("db",)):
        done = automl_opt(*group, "--help", folder=tmp_path)

        listed = done.out.split("Commands:\n")[1].splitlines()
        assert listed
        assert all(line.rstrip().endswith(".") and "..." not in line for line in listed)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
def test_an_error_of_the_machine_is_one_line_and_code_1(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "automl_opt", "plugins", "list"],
            env=QUIET,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert done.returncode == 1
    assert done.stderr == "Error: [Errno 28] No space left on device\n"
