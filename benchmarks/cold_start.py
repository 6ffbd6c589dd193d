"""How long the command line takes to start, and what our plugins add to that.

``python benchmarks/cold_start.py`` starts each command in turn, over and over, and prints the
medians: as a multiple of importing the command line's libraries alone, and for ``plugins list`` the
difference that the installed first-party plugins make. Everything is started from cached bytecode,
as after an installation.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROUNDS = 25
BASE = "import click, rich"
LISTING = [sys.executable, "-m", "automl_opt", "plugins", "list"]
WITHOUT, WITH = "plugins list", "plugins list, ours"


def main() -> None:
    """Print the median time of each command and its ratio to the base."""
    ours = _first_party()
    commands = {
        BASE: ([sys.executable, "-c", BASE], ""),
        "--help": ([sys.executable, "-m", "automl_opt", "--help"], ""),
        WITHOUT: (LISTING, ""),
        WITH: (LISTING, ",".join(ours)),
    }
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, (command, allowed) in commands.items():
                took = _seconds(command, {**environment, "AUTOML_OPT_PLUGINS": allowed})
                if turn:  # the first writes the bytecode
                    times[name].append(took)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name:20} {1000 * median:6.1f} ms  {median / medians[BASE]:.2f}x")
    added = statistics.median(map(float.__sub__, times[WITH], times[WITHOUT]))
    print(f"{' and '.join(ours)} add {1000 * added:.1f} ms (median of {ROUNDS} pairs)")


def _first_party() -> list[str]:
    """The plugins of ``plugins/``, by their entry points; they must be installed."""
    projects = (Path(__file__).parents[1] / "plugins").glob("*/pyproject.toml")
    names = [
        name
        for project in sorted(projects)
        for name in tomllib.loads(project.read_text())["project"]["entry-points"]["automl_opt"]
    ]
    environment = {**os.environ, "AUTOML_OPT_PLUGINS": ",".join(names)}
    listed = subprocess.run(LISTING, env=environment, check=True, capture_output=True, text=True)
    if missing := [name for name in names if f"{name}." not in listed.stdout]:
        raise SystemExit(f"not installed: {', '.join(missing)}; pip install -e plugins/…")
    return names


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
