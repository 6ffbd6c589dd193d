"""A page as PDF, printed by a browser that is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from automl_opt.core.errors import AutomlOptError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # the page is ours, runs no script and loads nothing
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
)
TIME_LIMIT_S = 120


class NoBrowser(AutomlOptError):
    """No browser could print the page."""


def print_pdf(page: str, output: Path) -> None:
    """Write *page*, one self-contained HTML text, to *output*.

    Raises:
        NoBrowser: none of Chromium's kind is on the path, or it fails.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise NoBrowser(
            f"a PDF is printed by a browser, and none of {', '.join(BROWSERS)} is on the path; "
            "write FILE.html and print that"
        )
    with tempfile.TemporaryDirectory() as folder:
        file, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        file.write_text(page, encoding="utf-8")
        words = [browser, *OPTIONS, f"--user-data-dir={folder}/profile"]
        try:
            done = subprocess.run(
                [*words, f"--print-to-pdf={printed}", file.as_uri()],
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise NoBrowser(f"{browser} did not print within {TIME_LIMIT_S} s") from error
        if not printed.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoBrowser(f"{browser} did not print: {last}")
        output.write_bytes(printed.read_bytes())
