"""``automl-opt status`` and ``report``: before, while and after a study runs."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from .shell import QUIET, STUDY, Done, automl_opt, write_study

LONG = ("--set", "training.epochs=2500", "--trials", "1")


@dataclass(frozen=True)
class Stopped:
    """A study that was asked about while it ran, and then stopped by Ctrl-C."""

    folder: Path
    run: Done
    running: dict[str, Done]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("stopped"))
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_opt", "run", ".", *LONG],
        cwd=folder,
        env=QUIET,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up_at = time.monotonic() + 60
    running: dict[str, Done] = {}
    while not running or '"worker"' not in running["status . --json"].out:
        assert time.monotonic() < give_up_at, running
        time.sleep(0.1)
        running["status . --json"] = automl_opt("status", ".", "--json", folder=folder)
    for name in ("status .", "report ."):
        running[name] = automl_opt(*name.split(), folder=folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Stopped(folder, Done(process.returncode, out, err), running)


def test_a_run_stopped_by_ctrl_c_says_how_to_go_on(stopped):
    assert stopped.run.code == 130
    assert stopped.run.err.splitlines()[-2:] == [
        "stopping: SIGINT",
        "Stopped by SIGINT. Nothing is lost; go on with: "
        "automl-opt run . --set training.epochs=2500 --trials 1",
    ]


def test_the_status_of_a_running_study_names_what_is_in_training(stopped):
    plain, data = stopped.running["status ."], json.loads(stopped.running["status . --json"].out)

    assert plain.code == 0
    assert plain.out.startswith("line: ")
    assert " of 2 trials ended\n" in plain.out
    assert "running: " in plain.out
    assert data["finished"] is False
    assert len(data["running"]) == 1
    assert data["running"][0]["arm"] in ("adamw", "sgd")


def test_the_report_of_a_running_study_is_preliminary(stopped):
    done = stopped.running["report ."]

    assert done.code == 0
    assert "Preliminary: the study's budget is not spent." in done.out


def test_the_status_of_a_stopped_study_counts_what_was_stopped(stopped):
    data = json.loads(automl_opt("status", ".", "--json", folder=stopped.folder).out)

    assert data["finished"] is False
    assert data["running"] == []
    assert sum(arm["states"].get("stopped", 0) for arm in data["arms"].values()) == 1


def test_the_same_command_goes_on_with_a_stopped_study(stopped, tmp_path):
    folder = shutil.copytree(stopped.folder, tmp_path / "copy")

    done = automl_opt("run", ".", *LONG, folder=folder)

    assert done.code == 0
    assert " goes on after epoch " in done.err
    status = automl_opt("status", ".", folder=folder)
    assert status.out.splitlines()[0] == "line: 2 of 2 trials ended, finished"


def test_the_status_of_a_finished_study(finished):
    done = automl_opt("status", ".", folder=finished)

    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["line:", "4", "of", "4", "trials", "ended,", "finished"],
        ["arm", "complete", "ended"],
        ["adamw", "2", "2/2"],
        ["sgd", "2", "2/2"],
    ]


def test_the_report_of_a_finished_study_as_json_agrees_with_its_table(finished):
    table = automl_opt("report", ".", folder=finished)
    data = json.loads(automl_opt("report", ".", "--json", folder=finished).out)

    assert "Preliminary" not in table.out
    assert data["finished"] is True
    rows = [line.split() for line in table.out.splitlines()[2:4]]
    assert [row[1] for row in rows] == [arm["arm"] for arm in data["arms"]]
    assert [row[2] for row in rows] == [f"{arm['best']:.4g}" for arm in data["arms"]]
    assert [row[3] for row in rows] == [f"{arm['test']:.4g}" for arm in data["arms"]]


@pytest.mark.parametrize("command", ["report", "status"])
def test_asking_about_a_database_that_is_not_there_creates_none(command, tmp_path):
    folder = write_study(tmp_path / "study")
    before = sorted(folder.iterdir())

    done = automl_opt(command, ".", folder=folder)

    assert done.code == 2
    assert done.err == (
        "Error: sqlite:///automl_opt.db: there is no such file; run the study first\n"
    )
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", ["report", "status"])
def test_asking_about_a_study_that_the_database_has_not_names_those_it_has(
    command, finished, tmp_path
):
    folder = shutil.copytree(finished, tmp_path / "copy")
    write_study(folder, STUDY.replace('"line"', '"curve"', 1))

    done = automl_opt(command, ".", folder=folder)

    assert done.code == 2
    assert done.err == ("Error: sqlite:///automl_opt.db holds no study 'curve'; it holds: line\n")


def test_storage_names_another_database(finished, tmp_path):
    shutil.copy(finished / "automl_opt.db", tmp_path / "elsewhere.db")
    write_study(tmp_path / "study")

    done = automl_opt("report", "study", "--storage", "sqlite:///elsewhere.db", folder=tmp_path)

    assert done.code == 0
    assert "adamw" in done.out


def test_optuna_dashboard_serves_the_database(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy")
    program = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))
    assert program is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = "sqlite:///automl_opt.db"
    process = subprocess.Popen(
        [program, url, "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        studies = fetched(f"http://127.0.0.1:{port}/api/studies", process)["study_summaries"]
        ids = {study["study_name"]: study["study_id"] for study in studies}
        assert set(ids) == {"line/adamw", "line/sgd"}
        study = fetched(f"http://127.0.0.1:{port}/api/studies/{ids['line/sgd']}", process)
        assert [trial["state"] for trial in study["trials"]] == ["Complete", "Complete"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def fetched(url: str, server: subprocess.Popen) -> dict:
    """The JSON at *url*, once *server* answers."""
    give_up_at = time.monotonic() + 60
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with direct.open(url, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            assert server.poll() is None, server.stdout
            assert time.monotonic() < give_up_at, "optuna-dashboard does not answer"
            time.sleep(0.2)


@pytest.mark.parametrize("kind", ["html", "md", "json"])
def test_a_page_is_written_in_the_form_that_its_name_asks_for(finished, tmp_path, kind):
    file = tmp_path / f"report.{kind}"

    done = automl_opt("report", ".", "-o", str(file), folder=finished)

    assert done.code == 0, done.err
    assert done.out.startswith("No verdict yet")
    assert done.out.endswith(f"More is in {file}.\n")
    begins = {"html": "<!doctype html>", "md": "# Which optimizer fits a line?", "json": "{"}
    assert file.read_text("utf-8").startswith(begins[kind])


def test_a_page_of_another_form_is_refused(finished, tmp_path):
    done = automl_opt("report", ".", "-o", str(tmp_path / "report.doc"), folder=finished)

    assert done.code == 2
    assert "must end in .html, .md, .json or .pdf" in done.err


def test_a_pdf_is_printed_by_the_browser_that_is_there(chromium, finished, tmp_path):
    file = tmp_path / "report.pdf"

    done = automl_opt("report", ".", "-o", str(file), folder=finished)

    assert done.code == 0, done.err
    assert file.read_bytes().startswith(b"%PDF-")


def test_without_a_browser_there_is_no_pdf_and_the_way_out_is_named(finished, tmp_path):
    alone = {**QUIET, "PATH": str(tmp_path)}

    done = automl_opt(
        "report", ".", "-o", str(tmp_path / "r.pdf"), folder=finished, environment=alone
    )

    assert done.code == 2
    assert "none of chromium," in done.err
    assert "write FILE.html and print that" in done.err
    assert not (tmp_path / "r.pdf").exists()
