"""Says at the end of a run what share of the optimizers learned at their defaults."""

from __future__ import annotations

from typing import Any

import torch

LEARNED = "finite and lower after 50 steps"


def pytest_configure() -> None:
    torch.set_num_threads(1)  # each process has a core


def pytest_terminal_summary(terminalreporter: Any) -> None:
    outcomes = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == LEARNED
    ]
    if outcomes:
        terminalreporter.write_line(f"{LEARNED}: {sum(outcomes)} of {len(outcomes)} optimizers")
