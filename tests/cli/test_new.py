"""``automl-opt plugins new``: packages that install, pass their tests, and are neatly written."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

import automl_opt as package
from automl_opt.plugin.catalog import SPEC_OF_KIND

from .shell import QUIET, automl_opt, command

ROOT = Path(package.__file__).parent.parent
TEMPLATES = ROOT / "automl_opt" / "scaffold"
LONGEST = "a" * 40


def generated(kind: str, folder: Path, name: str = "acme") -> Path:
    done = automl_opt("plugins", "new", name, "--kind", kind, "--into", "made", folder=folder)
    assert (done.code, done.err) == (0, "")
    return folder / "made" / f"automl-opt-{name}"


def environment_with(project: Path, folder: Path) -> Path:
    """The Python of a fresh environment with *project* and all that is installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    own = command(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
    ).out.strip()
    here = sysconfig.get_path("purelib")
    Path(own, "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = command([str(python), "-m", "pip", *words, "."], project)
    assert done.code == 0, done.err
    return python


@pytest.mark.parametrize("kind", SPEC_OF_KIND)
def test_a_new_package_installs_and_passes_its_tests_and_the_conformance_kit(kind, tmp_path):
    project = generated(kind, tmp_path)
    python = environment_with(project, tmp_path / "environment")
    environment = {**QUIET, "AUTOML_OPT_PLUGINS": "acme"}

    tested = command([str(python), "-m", "pytest", "-v"], project, environment)
    shown = command(
        [str(python), "-m", "automl_opt", "plugins", "list", "--kind", kind], tmp_path, environment
    )

    assert tested.code == 0, tested.out
    assert "::test_conformance[acme." in tested.out
    assert "acme     automl-opt-acme 0.1.0  loaded" in shown.out
    assert " acme." in shown.out


@pytest.mark.parametrize("name", ["b", LONGEST], ids=len)
@pytest.mark.parametrize("kind", SPEC_OF_KIND)
def test_a_new_package_is_as_ruff_would_write_it_whatever_its_name(kind, name, tmp_path):
    project = generated(kind, tmp_path, name)
    ruff = str(Path(sys.executable).with_name("ruff"))

    for words in (["check"], ["format", "--check"]):
        done = command([ruff, *words, "--no-cache", "."], project)
        assert done.code == 0, done.out


@pytest.mark.parametrize("kind", SPEC_OF_KIND)
def test_a_new_package_has_its_own_name_throughout_and_no_torch_at_import(kind, tmp_path):
    project = generated(kind, tmp_path, "two-words")

    texts = {path: path.read_text("utf-8") for path in project.rglob("*") if path.is_file()}

    names = {str(path.relative_to(project)) for path in texts}
    assert {"pyproject.toml", "README.md", ".gitignore"} < names
    assert "src/automl_opt_two_words/__init__.py" in names
    assert any(name.startswith("tests/test_") for name in names)
    assert [path for path, text in texts.items() if "acme" in text or "acme" in str(path)] == []
    data = tomllib.loads(texts[project / "pyproject.toml"])["project"]
    assert data["name"] == "automl-opt-two-words"
    assert data["entry-points"]["automl_opt"] == {"two_words": "automl_opt_two_words"}
    for path, text in texts.items():
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(text)), path


@pytest.mark.parametrize("file", sorted(TEMPLATES.rglob("*.py")), ids=lambda file: file.stem)
def test_a_template_imports_nothing_deeper_than_the_public_packages(file):
    modules = [
        node.module
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    ]

    assert {m for m in modules if m.startswith("automl_opt.")} <= {
        "automl_opt.api",
        "automl_opt.testing",
    }


def test_the_next_commands_are_told(tmp_path):
    done = automl_opt("plugins", "new", "acme", "--kind", "scheduler", folder=tmp_path)

    first, *rest = done.out.splitlines()
    assert first == "automl-opt-acme: scheduler acme.rex and its test. Next:"
    assert [line.strip() for line in rest if line] == [
        "cd automl-opt-acme",
        "pip install -e '.[test]'",
        "pytest",
        "automl-opt plugins check acme",
        "automl-opt plugins show acme.rex",
    ]


@pytest.mark.parametrize("name", ["acme-rules", "acme_rules", "automl-opt-acme-rules"])
def test_a_name_may_be_given_with_dashes_or_as_the_distribution_s(name, tmp_path):
    done = automl_opt("plugins", "new", name, "--kind", "pruner", folder=tmp_path)

    assert done.code == 0, done.err
    assert (tmp_path / "automl-opt-acme-rules/src/automl_opt_acme_rules/__init__.py").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("Acme", "--kind", "pruner"), "NAME 'Acme': a plugin's name is at most 40 lower-case"),
        (("Acme!", "--kind", "pruner"), "for example 'acme'"),
        (("3d", "--kind", "pruner"), "the first a letter; for example 'd'"),
        (("a--b", "--kind", "pruner"), "for example 'a_b'"),
        (("../acme", "--kind", "pruner"), "for example 'acme'"),
        (("", "--kind", "pruner"), "NAME ''"),
        (("ä", "--kind", "pruner"), "NAME 'ä'"),
        (("b" * 41, "--kind", "pruner"), "at most 40"),
        (("builtin", "--kind", "pruner"), "'builtin': a plugin of this name ships with automl-opt"),
        (("acme", "--kind", "optimiser"), "no kind 'optimiser'; did you mean 'optimizer'?"),
        (("acme",), "Missing option '--kind'"),
        ((), "Missing argument 'NAME'"),
        (("acme", "--kind", "pruner", "--into", "a-file"), "a-file/automl-opt-acme"),
    ],
)
def test_bad_input_is_exit_code_2_and_nothing_is_written(words, says, tmp_path):
    (tmp_path / "a-file").write_text("")

    done = automl_opt("plugins", "new", *words, folder=tmp_path)

    assert done.code == 2, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_what_exists_already_is_left_alone(tmp_path):
    project = generated("pruner", tmp_path)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}

    done = automl_opt(
        "plugins", "new", "acme", "--kind", "optimizer", "--into", "made", folder=tmp_path
    )

    assert done.code == 2
    assert "made/automl-opt-acme exists already: take another NAME, or" in done.err
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert after == before


def test_the_wheel_has_every_template(tmp_path):
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = command([sys.executable, "-m", "pip", *words, "-w", str(tmp_path), str(ROOT)], tmp_path)
    assert done.code == 0, done.err

    [wheel] = tmp_path.glob("*.whl")
    prefix = "automl_opt/scaffold/"
    names = zipfile.ZipFile(wheel).namelist()

    there = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    assert there == {
        file.relative_to(TEMPLATES).as_posix()
        for file in TEMPLATES.rglob("*")
        if file.is_file() and not {"__pycache__", ".ruff_cache"} & set(file.parts)
    }
