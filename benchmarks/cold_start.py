"""How long the command line takes to start, as a multiple of importing its libraries alone.

``python benchmarks/cold_start.py`` starts each command in turn, over and over, and prints the
medians. Everything is started from cached bytecode, as after an installation.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 15
BASE = [sys.executable, "-c", "import click, rich"]
COMMANDS = {
    "--help": [sys.executable, "-m", "automl_opt", "--help"],
    "plugins list": [sys.executable, "-m", "automl_opt", "plugins", "list"],
}


def main() -> None:
    """Print the median time of each command and its ratio to the base."""
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        commands = {"import click, rich": BASE, **COMMANDS}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, command in commands.items():
                took = _seconds(command, environment)
                if turn:  # the first writes the bytecode
                    times[name].append(took)
    base = statistics.median(times["import click, rich"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:20} {1000 * median:6.1f} ms  {median / base:.2f}x")


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
