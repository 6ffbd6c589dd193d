"""Hosts, fixture plugins and databases: a test sees the plugins that it asks for alone."""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, distribution
from pathlib import Path
from typing import Any

import pytest

from automl_opt.api import PROJECT
from automl_opt.plugin.catalog import OURS, Catalog
from automl_opt.plugin.host import ALLOW_LIST, Host, load_host

FIXTURES = Path(__file__).parent / "plugins"
SERVER = Path(__file__).parent / "postgresql" / "server.py"
NO_SKIP = "AUTOML_OPT_TEST_POSTGRESQL"
"""Set by ``.ci/run``: without a server, its tests fail where they are otherwise skipped."""

NO_SKIP_IN_A_BROWSER = "AUTOML_OPT_TEST_CHROMIUM"
"""Likewise for tests that need a browser."""

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # small problems on every core at once: more threads only wait


class Distributions:
    """A folder on ``sys.path`` with distributions in it, laid out as pip lays them out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *names: str) -> Distributions:
        """Install the fixture projects ``tests/plugins/NAME``."""
        for name in names:
            project = tomllib.loads((FIXTURES / name / "pyproject.toml").read_text())["project"]
            for module in (FIXTURES / name).glob("*.py"):
                shutil.copy(module, self.folder)
            entry_points = project["entry-points"][PROJECT]
            self._describe(project["name"], project["version"], entry_points)
        return self

    def write(self, plugin: str, source: str, *, version: str = "1.0") -> Distributions:
        """Install *source*: the module ``PLUGIN_plugin`` of a distribution ``PLUGIN-plugin``."""
        (self.folder / f"{plugin}_plugin.py").write_text(source, encoding="utf-8")
        self._describe(f"{plugin}-plugin", version, {plugin: f"{plugin}_plugin"})
        return self

    def _describe(self, name: str, version: str, entry_points: dict[str, str]) -> None:
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{plugin} = {target}" for plugin, target in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{PROJECT}]", *lines, ""]))
        importlib.invalidate_caches()

    def entry_points(self) -> list[EntryPoint]:
        found = [Distribution.at(info) for info in sorted(self.folder.glob("*.dist-info"))]
        return [entry for dist in found for entry in dist.entry_points if entry.group == PROJECT]

    def host(self, *, ours: bool = False, **options: Any) -> Host:
        """A host of these plugins, with what ships with automl-opt only if asked for."""
        return load_host([*(our_entry_points() if ours else []), *self.entry_points()], **options)

    def environment(self) -> dict[str, str]:
        """Environment variables with which a subprocess sees our own plugins and these."""
        path = os.pathsep.join(filter(None, [str(self.folder), os.environ.get("PYTHONPATH")]))
        names = ",".join(entry.name for entry in self.entry_points())
        return {**os.environ, "PYTHONPATH": path, ALLOW_LIST: names}


def our_entry_points() -> list[EntryPoint]:
    return [entry for entry in distribution(OURS).entry_points if entry.group == PROJECT]


@pytest.fixture(autouse=True)
def _no_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_LIST, raising=False)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Nothing installed yet; ``installed.add("healthy")`` installs ``tests/plugins/healthy``."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Distributions(folder)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def distributions() -> type[Distributions]:
    """For a folder that outlives a test: ``distributions(folder).write(…).environment()``."""
    return Distributions


@pytest.fixture(scope="session")
def fixture_projects() -> Path:
    """The folder of the fixture projects, each of which pip could install."""
    return FIXTURES


@pytest.fixture(scope="session")
def host() -> Host:
    """What ships with automl-opt, and nothing else."""
    return load_host(our_entry_points())


@pytest.fixture(scope="session")
def catalog(host: Host) -> Catalog:
    return host.catalog


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A server of this process's own (``tests/postgresql/server.py``), gone with the last test."""
    module = runpy.run_path(str(SERVER))
    missing = [name for name in ("initdb", "pg_ctl") if module["program"](name) is None]
    if importlib.util.find_spec("psycopg") is None:
        missing.append("psycopg")
    if missing:
        tell = pytest.fail if NO_SKIP in os.environ else pytest.skip
        tell(f"no {', '.join(missing)}: apt-get install postgresql, pip install -e '.[test]'")
    # nothing here outlives a power cut
    server = module["Server"]("fsync=off", "synchronous_commit=off", "full_page_writes=off")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, with what drives it installed."""
    found = shutil.which("chromium")
    packages = ("playwright", "axe_playwright_python")
    if found is None or not all(map(importlib.util.find_spec, packages)):
        tell = pytest.fail if NO_SKIP_IN_A_BROWSER in os.environ else pytest.skip
        tell("no browser: apt-get install chromium, pip install -e '.[test]'")
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a test that asks for it runs once on each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    url: str = request.getfixturevalue("postgresql").new_database()
    return url
