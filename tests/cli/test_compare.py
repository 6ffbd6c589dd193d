"""``automl-opt compare`` over two small studies."""

from __future__ import annotations

import json

import pytest

from .shell import STUDY, automl_opt, write_study


@pytest.fixture(scope="module")
def two(finished, tmp_path_factory):
    """The finished study, and one more in another folder."""
    other = write_study(
        tmp_path_factory.mktemp("other") / "study", STUDY.replace('"line"', '"other"', 1)
    )
    assert automl_opt("run", ".", folder=other).code == 0
    return finished, other


def test_two_studies_are_too_few_and_their_numbers_are_shown(two, tmp_path):
    first, _ = two
    urls = [f"sqlite:///{folder}/automl_opt.db" for folder in two]
    for folder, url in zip(two, urls, strict=True):
        study = (folder / "study.toml").read_text("utf-8")
        name = "line" if folder == first else "other"
        write_study(tmp_path / name, f'storage = "{url}"\n{study}')

    done = automl_opt("compare", "line", "other", folder=tmp_path)
    data = json.loads(automl_opt("compare", "line", "other", "--json", folder=tmp_path).out)

    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["arm", "line", "other"]
    assert "A signed-rank test needs 6 tasks or more; there are 2." in lines
    assert data["tasks"] == ["line", "other"]
    assert set(data["tests"]) == {"adamw", "sgd"}


def test_one_study_is_no_comparison(two):
    done = automl_opt("compare", ".", folder=two[0])

    assert done.code == 2
    assert "needs two studies or more" in done.err
