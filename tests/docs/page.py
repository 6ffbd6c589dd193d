"""Runs a page: writes the files that it shows, gives its commands, and keeps what they print.

A code block right after a line that ends in "`PATH`:" is that file. In a ``console`` block a line
that starts with ``$`` is a command and the lines under it are what it prints; ``…`` alone stands
for lines left out. Commands run in this process, which has torch already.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from automl_opt.cli.main import main

BLOCK = re.compile(r"(?:`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block, and the path of the file that it is, if any."""

    language: str
    text: str
    path: str | None = None

    def commands(self) -> Iterator[tuple[str, str]]:
        """``(command, what it prints)`` of a ``console`` block."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def blocks(text: str) -> list[Block]:
    return [Block(language, text, path or None) for path, language, text in BLOCK.findall(text)]


@dataclass(frozen=True)
class Printed:
    """A command of a page, what the page shows under it, and what it printed."""

    command: str
    shown: str
    printed: str


class Reader:
    """Somebody who does in *folder* what a page says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._start = self.folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(folder)
        monkeypatch.setenv("AUTOML_OPT_PLUGINS", "acme")

    def follow(self, page: str) -> list[Printed]:
        found = []
        for block in blocks(page):
            if block.path is not None:
                self.write(block.path, block.text)
            if block.language == "console":
                for command, shown in block.commands():
                    found.append(Printed(command, shown, self.give(command)))
        return found

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.leave()

    def give(self, command: str) -> str:
        """What *command* prints; an error that it reports is in there, too."""
        words = shlex.split(command.partition("  #")[0])
        assignments = [word for word in words if re.match(r"[A-Z_]+=", word)]
        words = words[len(assignments) :]
        with self._monkeypatch.context() as patch:
            for name, value in (word.split("=", 1) for word in assignments):
                patch.setenv(name, value)
            match words:
                case ["automl-opt", *arguments]:
                    return _captured(lambda: main(arguments))
                case ["pip", "install", *_, project]:
                    return self._install(Path(project.removesuffix("[test]")))
                case ["python", "-c", code]:
                    return _captured(lambda: exec(code, {}))
                case ["python", script]:
                    return _captured(lambda: runpy.run_path(script, run_name="__main__"))
                case ["pytest", *arguments]:
                    return self._pytest(arguments)
                case ["mkdir", folder]:
                    Path(folder).mkdir()
                case ["cd", folder]:
                    self.folder = (self.folder / folder).resolve()
                    self._monkeypatch.chdir(self.folder)
                case _:
                    raise AssertionError(f"no reader of ours knows the command {command!r}")
        return ""

    def _install(self, project: Path) -> str:
        """As ``pip install -e`` does, without a build: another test builds a package."""
        described = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
        name, version = described["name"], described["version"]
        folder = (project / "src" if (project / "src").is_dir() else project).resolve()
        metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata.joinpath("METADATA").write_text(head, encoding="utf-8")
        lines = []
        for group, points in described["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
        metadata.joinpath("entry_points.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
        self._monkeypatch.syspath_prepend(str(folder))
        return ""

    def _pytest(self, arguments: list[str]) -> str:
        self._monkeypatch.setenv("COLUMNS", "80")
        plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(self.folder)]
        return _captured(lambda: pytest.main([*arguments, *plain]))

    def leave(self) -> None:
        """Forget the modules of the page: whoever imports them next reads them anew."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(self._start)):
                del sys.modules[name]
        importlib.invalidate_caches()


def _captured(run: Callable[[], object]) -> str:
    """Everything that *run* prints, in its order."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        contextlib.suppress(SystemExit),  # an error says so in what it prints
    ):
        run()
    return printed.getvalue()


def agrees(done: Printed) -> bool:
    """Whether a command printed what its page shows.

    Times may differ, ``…`` stands for lines left out, and of a study's run every line must be
    there, whatever its numbers: losses differ between machines.
    """
    shown, printed = _plain(done.shown), _plain(done.printed)
    if done.command.startswith("automl-opt run "):
        lines = [_without_numbers(line) for line in printed]
        return all(_without_numbers(line) in lines for line in shown if line != "…")
    pattern = "".join("(?:.*\n)*" if line == "…" else re.escape(f"{line}\n") for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


def _plain(text: str) -> list[str]:
    text = re.sub(r"\d+\.\d+s\b", "#s", text.strip("\n"))
    return [line.rstrip() for line in text.splitlines()]


def _without_numbers(line: str) -> str:
    return " ".join(re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "#", line).split())
