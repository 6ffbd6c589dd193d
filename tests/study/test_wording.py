"""Whatever the values, only sentences of the allowed forms are said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_opt.core.errors import VerdictError
from automl_opt.core.verdict import Score
from automl_opt.study.judge import judge, judge_arms
from automl_opt.study.wording import arm_sentences, sentences

FORBIDDEN = [
    r"\bbest\b",
    r"\bP\s*[(=<>]",
    r"\bp\s*[=<>]",
    r"probab|likel|chance",
    r"signific",
    r"new data|unseen|generali[sz]",
    r"\bprove",
    r"always|never|certain",
    r"optimizer \w+ (is|beats|wins)",
    r"nan|inf\b|None",
]
N = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
NAME = r"(?:adam #7|sgd #12|lion #0|adam untuned|muon #3)"
NAMES = rf"{NAME}(?:, {NAME})* and {NAME}"
EFFECT = rf"(?:loss|accuracy) (?:lower|higher) by {N}(?: %)? \[{N}, {N}\]"
ALLOWED = [
    r"No verdict yet: \d+ of \d+ common seeds are in\.",
    rf"Recipe {NAME} beats recipe {NAME} on this dataset: {EFFECT} over \d+ common seeds\.",
    rf"Recipe {NAME} beats recipe {NAME} on this dataset: it won \d+ of \d+ common seeds\.",
    rf"Recipe {NAME} beats each of the \d other recipes on this dataset, after \d+ common seeds\.",
    rf"Recipes {NAMES} are equivalent: the difference is within ±{N}(?: %)?\.",
    rf"Recipes {NAMES} are equivalent: each one's difference to {NAME} is within ±{N}(?: %)?\.",
    rf"Undecided(?: between {NAMES})? after \d+ seeds; about \d+–\d+ more\.",
    rf"Undecided(?: between {NAMES})? after \d+ seeds; up to 5120 seeds would not decide it if "
    r"nothing changed\.",
    rf"{NAME} failed \d+ of \d+(?:: at most \d+ % of its runs fail \(one-sided 95 % bound\))?\.",
    r"One search found each; this does not show that one optimizer is better than another\.",
]
ARMS = [
    r"No verdict yet: 0 of \d+ pairs of tunings are in\.",
    r"Tuned independently (?:once|\d+ times) each with \d+ trials?, (?:adam|sgd) ended better "
    r"(?:once|\d+ times)(?:: (?:adam|sgd) is the better choice at this budget|: undecided; "
    r"(?:the quick form cannot be extended|no further look is planned|the next look is after \d+ "
    r"more pairs?))\.",
]


def check(said: list[str], allowed: list[str]) -> None:
    assert said
    for sentence in said:
        assert any(re.fullmatch(form, sentence) for form in allowed), sentence
        for wrong in FORBIDDEN:
            assert not re.search(wrong, sentence), (wrong, sentence)


@st.composite
def verdicts(draw):
    names = draw(
        st.lists(
            st.sampled_from(["adam #7", "sgd #12", "lion #0", "adam untuned", "muon #3"]),
            min_size=2,
            max_size=5,
            unique=True,
        )
    )
    n = draw(st.sampled_from([0, 3, 10, 12, 20, 40]))
    seed = draw(st.integers(0, 10**6))
    gap, sd = draw(st.sampled_from([(0, 1), (0.5, 1), (3, 1), (0, 1e-4), (1e-3, 1e-4), (9, 3)]))
    fail = draw(st.sampled_from([0.0, 0.0, 0.1, 0.6, 1.0]))
    loss = draw(st.booleans())
    import numpy as np

    rng = np.random.default_rng(seed)
    values = {}
    for place, name in enumerate(names):
        row = rng.normal(gap * place, sd, n)
        row = np.exp(row) if loss else 1 / (1 + np.exp(-row))
        rate = fail if place % 2 else 0.0
        values[name] = [None if rng.random() < rate else float(v) for v in row]
    score = Score(
        metric="loss" if loss else "accuracy",
        maximize=not loss,
        scale="log" if loss else "plain",
        margin=draw(st.sampled_from([0.01, 0.005, 0.1])),
        resolution=0.0 if loss else draw(st.sampled_from([0.0, 0.002])),
    )
    return judge(values, score)


@settings(max_examples=400, deadline=None)
@given(verdicts())
def test_of_a_verdict_only_what_is_allowed_is_said(verdict):
    check(sentences(verdict), ALLOWED)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([(1.0, 2.0), (2.0, 1.0), (1.0, 1.0), (1.0, None)]), max_size=45),
    st.booleans(),
    st.integers(1, 60),
)
def test_of_re_tunings_only_what_is_allowed_is_said(results, quick, trials):
    verdict = judge_arms(("adam", "sgd"), results, maximize=False, trials=trials, quick=quick)

    check(arm_sentences(verdict), ARMS)


@pytest.mark.parametrize(
    "wrong",
    [
        "adam is the best optimizer.",
        "P(better) = .97, so adam is better.",
        "Recipe adam #7 beats recipe sgd #12 on new data.",
        "adam is significantly better.",
    ],
)
def test_the_forbidden_sentences_would_be_found(wrong):
    with pytest.raises(AssertionError):
        check([wrong], [".*"])


LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)


def test_better_is_said_with_its_interval_and_what_it_does_not_show():
    a = [1.0, 1.1] * 5
    b = [1.05, 1.15] * 5

    said = sentences(judge({"adam #7": a, "sgd #12": b}, LOSS))

    # ln 1.05 and ln(1.15/1.1) in turn: mean .04662, sd .00229, half-width .00229·3.111/√10
    assert said == [
        "Recipe adam #7 beats recipe sgd #12 on this dataset: loss lower by 4.6 % [4.3, 4.8] over "
        "10 common seeds.",
        "One search found each; this does not show that one optimizer is better than another.",
    ]


def test_a_verdict_is_refused_before_a_sentence_is_made_of_nothing():
    with pytest.raises(VerdictError):
        sentences(judge({"adam #7": [0.5] * 10, "sgd #12": [0.5] * 10}, LOSS))
