"""A study whose trials are trained by actors of a Ray cluster: the same trials, whoever is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from automl_opt.core.errors import SpecError
from automl_opt.core.spec import load_study
from automl_opt.plugin.host import ALLOW_LIST
from automl_opt.training.executor import QUIET

from .examples import contents, rows_of, run, write_study
from .test_workers import APART, children, is_alive, wait_until

ON_RAY = [APART, "training.executor=ray", "training.workers=2"]


@pytest.fixture
def environment():
    """In which Ray finds no address, not even one that a cluster left when it was killed."""
    prefix = "ray"  # a socket's path must be short: pytest's folders are too long
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        others = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        yield {**others, ALLOW_LIST: "", "RAY_TMPDIR": folder}


def test_a_lost_node_and_a_lost_actor_cost_their_trials_an_attempt_and_no_more(
    host, tmp_path, environment
):
    study = write_study(tmp_path / "study", points=3000, pruner='"none"')
    task = study / "task.py"
    mark = "    from pathlib import Path\n    import os\n"
    mark += '    Path(__file__).with_name(f"{os.getpid()}.opened").touch()\n'
    task.write_text(task.read_text().replace("def clouds():\n", f"def clouds():\n{mark}"))
    run(study, alone := f"sqlite:///{tmp_path}/alone.db", APART, host=host)
    url = f"sqlite:///{tmp_path}/s.db"
    script = Path(__file__).with_name("lost_node.py")
    settings = [*ON_RAY, "training.checkpoint_every=0"]
    next(study.glob("*.opened")).unlink()

    done = subprocess.run(
        [sys.executable, str(script), str(study), url, *settings],
        capture_output=True,
        text=True,
        env={**environment, **QUIET},
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert contents(url) == contents(alone)
    said = done.stdout.splitlines()
    assert all("its worker died after epoch" in line for line in said)
    lost = Counter(line.partition(":")[0] for line in said)
    assert lost.total() == 2
    assert {str(row.trial): row.attempt - 1 for row in rows_of(url) if row.attempt > 1} == lost
    assert not Path(f"{tmp_path}/s.checkpoints").exists()


def test_a_cluster_of_this_machine_is_started_without_a_word_and_ends_with_the_run(
    tmp_path, environment
):
    study = write_study(tmp_path / "study", points=30_000, pruner='"none"')
    url = f"sqlite:///{tmp_path}/s.db"
    command = [sys.executable, "-m", "automl_opt", "run", str(study), "--storage", url]
    process = subprocess.Popen(
        [*command, "--executor", "ray", "--workers", "2", "--set", APART],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    first = process.stderr.readline()
    wait_until(lambda: any(row.status.is_final for row in rows_of(url)), "a trial ends")
    started = {process.pid, *children(process.pid)}

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    printed, said = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGINT, said
    *lines, stopped = said.splitlines()
    trials = [line for line in lines if line != "stopping: SIGINT"]  # one may end after it
    assert first == "study clouds: 2 arms, 16 trials\n"
    assert all(line.startswith("[") for line in trials), said
    assert len(lines) == len(trials) + 1, said
    assert stopped.startswith("Stopped by SIGINT. Nothing is lost")
    assert printed.startswith("rank")
    assert len(started) > 2
    wait_until(lambda: not any(map(is_alive, started)), "Ray ends, too")
    interrupted = [row for row in rows_of(url) if not row.status.is_final]
    assert all(row.checkpoint_uri for row in interrupted)


def test_without_ray_the_error_says_what_to_install(host, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "automl_opt.training.actors", raising=False)
    study = write_study(tmp_path / "study")

    with pytest.raises(SpecError, match=r"\[training\] executor: .*pip install 'automl-opt\[ray\]"):
        run(study, f"sqlite:///{tmp_path}/s.db", *ON_RAY, host=host)
    assert not Path(f"{tmp_path}/s.checkpoints").exists()


def test_an_address_where_no_cluster_answers_is_named_at_once(host, tmp_path):
    study = write_study(tmp_path / "study")
    settings = [*ON_RAY, "training.ray_address=127.0.0.1:9"]

    with pytest.raises(SpecError, match=r"'127\.0\.0\.1:9': no Ray cluster .*Connection refused"):
        run(study, f"sqlite:///{tmp_path}/s.db", *settings, host=host)


@pytest.mark.parametrize(
    ("cpus", "gpus", "room"),
    [(1, 0, 12), (4, 0, 2), (9, 0, 0), (1, 1, 2), (1, 0.3333, 6), (1, 0.1, 8)],
)
def test_a_worker_has_room_where_a_node_has_all_it_asks_for(cpus, gpus, room):
    from automl_opt.training.actors import room_for

    nodes = [{"CPU": 8.0, "GPU": 2.0, "memory": 1e9}, {"CPU": 3.0}, {"CPU": 1.0}]

    assert room_for(nodes, {"CPU": cpus, "GPU": gpus}) == room


@pytest.mark.parametrize(
    ("settings", "workers", "there", "share"),
    [
        ([], 2, 0, 0),
        ([], 2, 4, 1),
        ([], 4, 4, 1),
        ([], 3, 2, 0.5),
        (["device=cuda"], 6, 2, 0.3333),
        (["device=cpu"], 2, 2, 0),
        (["gpus_per_worker=0"], 2, 2, 0),
        (["gpus_per_worker=0.25"], 2, 2, 0.25),
    ],
)
def test_gpus_are_shared_evenly_where_the_study_does_not_say(
    tmp_path, settings, workers, there, share
):
    spec = spec_of(tmp_path, ["device=auto", f"workers={workers}", *settings])

    from automl_opt.training.actors import gpus_per_worker

    assert gpus_per_worker(spec, there) == share


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (["device=cuda"], "device: 'cuda' asked for, but the Ray cluster has none"),
        (["device=cuda:1"], "device: 'cuda:1': Ray chooses a worker's GPU"),
        (["device=cuda", "gpus_per_worker=0"], "gpus_per_worker: 0, but device is 'cuda'"),
        (["device=cpu", "gpus_per_worker=0.5"], r"gpus_per_worker: 0\.5, but device is 'cpu'"),
        (["gpus_per_worker=2"], "gpus_per_worker: must be a number from 0 to 1, not 2"),
        (["ray_address=here"], "ray_address: 'here' does not read as an address: host:port"),
        (["executor=dask"], "executor: 'dask' is not known; .*processes, ray"),
        (["executor=processes", "gpus_per_worker=1"], 'gpus_per_worker: is for executor = "ray"'),
        (["executor=processes", "ray_address=a:1"], 'ray_address: is for executor = "ray"'),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, settings, error):
    from automl_opt.training.actors import gpus_per_worker

    with pytest.raises(SpecError, match=rf"\[training\] {error}"):
        gpus_per_worker(spec_of(tmp_path, settings), 0)


def spec_of(folder, settings):
    settings = [f"training.{setting}" for setting in ["executor=ray", *settings]]
    return load_study(write_study(folder / "study"), settings)
