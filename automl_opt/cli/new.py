"""``automl-opt plugins new``: a package with one real component, its test and its README."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from automl_opt.cli.options import kind_option_of
from automl_opt.core.errors import PluginError

EXAMPLE = "acme"
"""What the plugin of every template is called, in its texts and in its paths."""

PREFIX = "automl-opt-"
LONGEST = 40
"""Letters of a name: with more, lines of the templates would be too long."""


@click.command()
@click.argument("name", metavar="NAME")
@kind_option_of("The kind of component it offers, for example optimizer.", required=True)
@click.option("--into", metavar="FOLDER", default=".", help="Where the package's folder goes.")
def new(name: str, kind: str, into: str) -> None:
    """Begin a plugin called NAME.

    Written is the folder automl-opt-NAME: a package that can be installed as it is, with one
    component of the kind, a published method, and a test that runs the conformance kit. Put your
    own formula in its place.

    \b
    automl-opt plugins new acme --kind optimizer
    automl-opt plugins new acme --kind scheduler --into ~/plugins
    """
    plugin = _plugin_name(name)
    distribution = PREFIX + plugin.replace("_", "-")
    folder = Path(into).expanduser() / distribution
    if folder.exists():
        raise PluginError(
            f"{folder} exists already: take another NAME, or another place with --into"
        )
    package = dict(_package(kind, plugin))
    try:
        for file, content in package.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # half a package would be in the way
        raise PluginError(f"{folder} cannot be written: {error}") from error

    [component] = re.findall(r'Spec\(\n +name="(\w+)"', "".join(package.values()))
    click.echo(f"{folder}: {kind} {plugin}.{component} and its test. Next:\n")
    for command in (
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[test]'",
        "pytest",
        f"automl-opt plugins check {plugin}",
        f"automl-opt plugins show {plugin}.{component}",
    ):
        click.echo(f"  {command}")


def _plugin_name(name: str) -> str:
    """The name of the entry point, ``foo_bar`` for ``foo-bar`` and ``automl-opt-foo-bar``.

    Raises:
        PluginError: it is none, or belongs to a plugin that ships with automl-opt.
    """
    plugin = name.removeprefix(PREFIX).replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", plugin) or len(plugin) > LONGEST:
        nearest = "_".join(re.findall(r"[a-z0-9]+", plugin.lower())).lstrip("0123456789_")
        nearest = nearest[:LONGEST].rstrip("_")
        hint = f"; for example {nearest!r}" if nearest else ""
        raise PluginError(
            f"NAME {name!r}: a plugin's name is at most {LONGEST} lower-case letters, digits and "
            f"single '-' or '_', the first a letter{hint}"
        )
    ours = [e.name for e in entry_points(group="automl_opt") if e.value.startswith("automl_opt.")]
    if plugin in ours:
        raise PluginError(f"NAME {name!r}: a plugin of this name ships with automl-opt")
    return plugin


def _package(kind: str, plugin: str) -> Iterator[tuple[Path, str]]:
    """Every file of the new package, and what is in it."""
    templates = files("automl_opt") / "scaffold"
    common = [(Path("pyproject.toml"), "pyproject.toml"), (Path(".gitignore"), "gitignore")]
    for path, template in common:
        yield path, _renamed((templates / template).read_text("utf-8"), plugin)
    for path, file in _walk(templates / kind):
        yield Path(_renamed(path.as_posix(), plugin)), _renamed(file.read_text("utf-8"), plugin)


def _walk(folder: Traversable, inside: Path = Path()) -> Iterator[tuple[Path, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, inside / entry.name)
        elif entry.is_file():
            yield inside / entry.name, entry


def _renamed(text: str, plugin: str) -> str:
    dashed = plugin.replace("_", "-")
    return text.replace(PREFIX + EXAMPLE, PREFIX + dashed).replace(EXAMPLE, plugin)
