"""A report of a small real study has every section, and its numbers are those of the rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from automl_opt.core.spec import load_study
from automl_opt.search.interaction import Interaction
from automl_opt.store import Store
from automl_opt.study.confirm import confirm
from automl_opt.study.page import Bullets, Code, Section, Table, Text, html, markdown
from automl_opt.study.report import report_of
from automl_opt.study.sections import sections, spread, title_of

from .examples import NAME, run, write_study

TITLES = [
    "Verdict",
    "What speaks against it",
    "The recipe",
    "The search",
    "What else the trials say",
    "Which parameters decide",
    "What it cost",
    "Ranges searched",
    "Components and environment",
    "How to repeat it",
]


@pytest.fixture(scope="module")
def searched(tmp_path_factory, host):
    folder = tmp_path_factory.mktemp("searched")
    study = write_study(folder / "study")
    url = f"sqlite:///{folder}/study.db"
    run(study, url, host=host)
    return load_study(study, ["verdict.seeds=10"]), url


@pytest.fixture(scope="module")
def before(searched, host):
    spec, url = searched
    with Store.open(url) as store:
        return report_of(spec, store, host.catalog)


@pytest.fixture(scope="module")
def after(before, searched, host):
    spec, url = searched
    with Store.open(url) as store:
        confirm(spec, host=host, store=store)
        return report_of(spec, store, host.catalog)


def test_a_report_has_every_section(before, after):
    for report in (before, after):
        assert [section.title for section in sections(report)] == TITLES


def test_the_verdict_comes_first_and_says_what_the_selection_says(after):
    text = markdown(title_of(after), sections(after))

    first, *others = after.selection.said
    assert text.index(f"**{first}**") < text.index("## What speaks against it")
    for sentence in others:
        assert sentence in text


def test_a_study_without_a_question_is_named(after):
    assert title_of(after) == f"Study {NAME}"


def test_every_plot_is_there_and_the_file_is_small(after):
    page = html(title_of(after), sections(after))

    assert len(re.findall('role="img"', page)) == 6
    assert len(page.encode()) < 3_000_000


NEVER = re.compile(
    r"best (?:optimizer|scheduler|regularizer|initializer|recipe|arm)|\bP ?[(=<>]|\bp ?[=<>]|probab"
    r"|signific|new data|unseen|generali[sz]|\bprove|optimizer \w+ (?:is|beats|wins)|\bnan\b|None",
    re.IGNORECASE,
)
"""What the protocol does not let a tool say, wherever on the page."""


def test_nowhere_is_said_what_the_protocol_forbids(before, after):
    told = Interaction(first="optimizer.lr", second="batch_size", share=0.3, told=True)
    found = {"sgd": [told], "adamw": [replace(told, told=False)], "adam": []}  # each of its forms
    for report in (before, after):
        page = markdown(title_of(report), sections(replace(report, interactions=found)))

        assert "depends on the other's" in page
        assert NEVER.findall(page) == []


@pytest.mark.parametrize("wrong", ["adam is the best optimizer", "P(better) = .97", "on new data"])
def test_the_forbidden_would_be_found_on_a_page(wrong):
    assert NEVER.search(markdown("A title", [Section("Verdict", [Bullets([wrong])])]))


WIDE = [
    Section(
        "What is too wide for a phone",
        [
            Text(f"An identifier without a space: {'regularizer_' * 9}."),
            Table("Columns", [f"head {i}" for i in range(14)], [["0.123456"] * 14]),
            Table("Names", ["arm", "range"], [["some.long_" * 6, "0 … 1"]], right=["range"]),
            Code("automl-opt select " + "a/long/path/" * 12),
        ],
    )
]
PHONES_AND_DESKTOP = (320, 360, 390, 1280)


@pytest.fixture(scope="module")
def browser(chromium):
    """One browser for all tests, without a network."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = [
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
        ]
        found = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=False, args=options
        )
        yield found.new_context(offline=True)
        found.close()


@pytest.fixture(params=["report", "wide"])
def opened(request, browser, after, tmp_path):
    """A page, opened from disk, what it asked for and what it complained of."""
    content = sections(after) if request.param == "report" else WIDE
    file = tmp_path / "report.html"
    file.write_text(html(title_of(after), content), "utf-8")
    page = browser.new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda asked: seen.append(asked.url))
    page.goto(file.as_uri())
    yield page, seen
    page.close()


def test_in_a_browser_a_page_fits_every_screen_and_asks_for_nothing(opened):
    page, seen = opened

    for width in PHONES_AND_DESKTOP:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        figures = page.evaluate(
            "[...document.querySelectorAll('svg[role=img]')].map(e => e.getBoundingClientRect())"
            ".map(box => [box.left, box.right, box.height])"
        )
        for left, right, height in figures:
            assert left >= 0
            assert right <= width
            assert height > 50
    assert [each for each in seen if each not in (page.url, "data:,")] == []


@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser_axe_finds_nothing_that_keeps_readers_out(opened, width):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened
    page.set_viewport_size({"width": width, "height": 800})

    found = Axe().run(page).response

    assert len(found["passes"]) > 10
    assert [(each["id"], each["impact"]) for each in found["violations"]] == []


def test_bands_are_quantiles_of_the_trials_that_reached_the_epoch(after, searched):
    _, url = searched
    with Store.open(url) as store:
        trials = [t.trial_id for t in store.trials(NAME) if t.arm == "sgd"]
        curves = store.curves(NAME, split="valid")
    values = [
        row.value for t in trials for row in curves[t] if (row.metric, row.epoch) == ("loss", 2)
    ]

    [found] = [row for row in after.curves["sgd"].points if row[0] == 2]
    assert found[1:] == pytest.approx(tuple(np.quantile(values, (0.25, 0.5, 0.75))))


def test_the_finalists_curves_are_those_of_the_common_seeds(before, after, searched):
    _, url = searched
    with Store.open(url) as store, store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT recipe, epoch, value FROM hpo_v_confirmed_curve "
            "WHERE metric = 'loss' AND split = 'valid'"
        ).all()

    assert before.confirmed == {}
    verdict = after.selection.verdict
    assert next(iter(after.confirmed)) == verdict.leader
    assert set(after.confirmed) == set(verdict.recipes)
    for name, band in after.confirmed.items():
        assert band.runs == 10
        assert [epoch for epoch, *_ in band.points] == [1, 2, 3, 4, 5]
        for epoch, *found in band.points:
            values = [value for recipe, at, value in rows if (recipe, at) == (name, epoch)]
            assert len(values) == 10
            assert found == pytest.approx(np.quantile(values, (0.25, 0.5, 0.75)))
    assert "Validation loss by epoch of the finalists over 10 common seeds" in html(
        title_of(after), sections(after)
    )


def test_finalists_of_unequal_seeds_are_told_apart(after):
    leader, *others = after.confirmed
    fewer = {name: replace(band, runs=5) for name, band in after.confirmed.items()}
    report = replace(after, confirmed={**fewer, leader: after.confirmed[leader]})

    page = html(title_of(report), sections(report))

    assert f"common seeds ({leader}: 10, {others[0]}: 5, " in page


def test_no_expected_best_is_drawn_better_than_the_best(after):
    for arm in after.costs.arms:
        band = spread(arm, "minimize")
        assert len(band) == len(arm.expected) > 0
        for (_, low, high), (mean, sd) in zip(band, arm.expected, strict=True):
            assert low == max(mean - sd, arm.best_so_far[-1])
            assert high == pytest.approx(mean + sd)


def test_components_and_environment_are_those_of_the_rows(after):
    used = {(row.kind, row.name) for row in after.components}

    assert {("optimizer", "builtin.sgd"), ("optimizer", "builtin.adamw")} <= used
    assert all(row.distribution == "automl-opt" for row in after.components)
    assert after.environments[-1]["torch"]


def test_the_recipe_is_the_leaders_with_the_interval_that_export_states(after):
    assert after.winner.title == after.selection.verdict.leader
    low, high = after.winner.expected()
    text = markdown(title_of(after), sections(after))
    assert f"{low:.4g} … {high:.4g}" in text


def test_the_trials_of_the_leading_arm_lie_where_their_ranges_have_them(after, searched):
    _, url = searched
    with Store.open(url) as store:
        rows = [t for t in store.trials(NAME) if t.arm == after.trials.arm and t.value is not None]
    complete = {t.value: t.trial.recipe for t in rows if t.status == "complete"}

    names = [entry["name"] for entry in after.trials.entries]
    assert "optimizer.lr" in names
    assert len(after.trials.rows) == len(complete)
    for value, places in after.trials.rows:
        entry = after.trials.entries[names.index("optimizer.lr")]
        lr = complete[value].optimizer.params["lr"]
        expected = np.log(lr / entry["low"]) / np.log(entry["high"] / entry["low"])
        assert places[names.index("optimizer.lr")] == pytest.approx(expected)


def test_which_parameters_decide_is_said_of_every_arm(after):
    text = markdown(title_of(after), sections(after))
    section = text.partition("## Which parameters decide")[2].partition("## ")[0]

    assert set(after.importances) == {"sgd", "adamw"}
    for arm in after.importances:
        assert arm in section


def test_whether_parameters_interact_is_said_of_every_arm(after):
    some = Interaction(first="lr", second="beta", share=0.25, told=True)
    other = replace(some, told=False)

    for row, says in [
        ((some, other), "sgd: lr and beta (25%)."),
        ((other,), "The complete trials of sgd, adamw cannot tell whether parameters interact."),
        ((), "Too few complete trials to ask whether parameters interact: sgd, adamw."),
    ]:
        report = replace(after, interactions=dict.fromkeys(("sgd", "adamw"), row))
        assert says in markdown(title_of(report), sections(report))
    assert set(after.interactions) == {"sgd", "adamw", "all arms together"}


def test_a_report_is_plain_data(before, after):
    for report in (before, after):
        data = json.loads(json.dumps(report.data()))
        assert set(data["curves"]) == {"sgd", "adamw"}
        assert set(data["ranges"]) == {"sgd", "adamw"}
        assert data["costs"]["arms"][0]["trials"] == 8
    assert data["verdict"]["outcome"] in ("better", "equivalent", "undecided")
    assert data["winner"]["expected"]
