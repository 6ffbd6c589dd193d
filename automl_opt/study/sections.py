"""The sections of a report: the answer first, then what it stands on, then how to repeat it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from automl_opt.core.verdict import Pair, Score
from automl_opt.study.cost import LED_AT, ArmCost
from automl_opt.study.page import Block, Bullets, Code, Plot, Section, Table, Text
from automl_opt.study.plots import Axis, Bar, Line, intervals, lines, parallel, strips
from automl_opt.study.ranking import Ranking
from automl_opt.study.report import Band, Report, Trials
from automl_opt.study.secondary import said
from automl_opt.study.wording import amount, margin

DRAWN = 4
"""Arms in a plot: the bands of more hide one another."""


def title_of(report: Report) -> str:
    return report.selection.question or f"Study {report.selection.study}"


def sections(report: Report) -> list[Section]:
    """Every section that has something to say."""
    found = [
        Section("Verdict", _verdict(report)),
        Section("What speaks against it", _findings(report)),
        Section("The recipe", _recipe(report)),
        Section("The search", _search(report)),
        Section("What else the trials say", _factors(report)),
        Section("Which parameters decide", _importances(report)),
        Section("What it cost", _costs(report)),
        Section("Ranges searched", _ranges(report)),
        Section("Components and environment", _environment(report)),
        Section("How to repeat it", _again(report)),
    ]
    return [section for section in found if section.blocks]


def _verdict(report: Report) -> list[Block]:
    first, *others = report.selection.said
    blocks: list[Block] = [Text(first, lead=True), *(Text(text) for text in others)]
    verdict = report.selection.verdict
    if verdict is None:
        return blocks
    values = {
        name: [
            run.value
            for run in report.selection.runs
            if run.stage == "confirm" and run.recipe == name and run.value is not None
        ]
        for name in sorted(verdict.recipes, key=lambda name: name != verdict.leader)
    }
    metric = verdict.score.metric
    pairs = {pair.other: pair for pair in verdict.pairs}
    rows = []
    for name, own in values.items():
        pair = pairs.get(name)
        runs = [r for r in report.selection.runs if r.stage == "confirm" and r.recipe == name]
        mean = f"{math.fsum(own) / len(own):.4g}" if own else "–"
        ahead = amount(pair, verdict.score) if pair is not None and pair.mean is not None else ""
        won = f"{pair.wins} of {pair.seeds}" if pair is not None else ""
        rows.append([name, mean, ahead, won, str(len(runs)), str(len(runs) - len(own))])
    heads = ["recipe", "mean", "leader ahead by", "seeds it won", "seeds", "failed"]
    caption = f"The finalists' {metric} on the test split, the leader first"
    blocks.append(Table(caption, heads, rows, right=heads[1:]))
    blocks.append(
        Plot(
            strips(
                list(values.items()), alt=f"Test {metric} of each finalist by seed", x=f"{metric}"
            ),
            f"Test {metric} of every run, and the mean. Every seed has a split of its own.",
        )
    )
    if report.confirmed:
        blocks.append(_confirmed_curves(report.confirmed, metric))
    if verdict.leader is not None:
        blocks.append(
            Plot(
                _interval_plot(verdict.pairs, verdict.score, verdict.leader),
                f"How far {verdict.leader} is ahead of each other finalist, with the interval at "
                f"its last look. Grey: within {margin(verdict.score)}, which counts as no "
                "difference.",
            )
        )
        looks = [
            [str(look.seeds), f"{look.alpha:g}", look.leader, str(look.outcome)]
            for look in verdict.looks
        ]
        blocks.append(
            Table("The looks", ["seeds", "alpha", "leader", "outcome"], looks, ["seeds", "alpha"])
        )
    return blocks


def _confirmed_curves(bands: Mapping[str, Band], metric: str) -> Block:
    counts = {band.runs for band in bands.values()}
    seeds = (
        f"{counts.pop()} common seeds"
        if len(counts) == 1
        else "common seeds (" + ", ".join(f"{name}: {b.runs}" for name, b in bands.items()) + ")"
    )
    return Plot(
        _band_plot(bands, alt=f"Validation {metric} by epoch, a finalist a line", y=metric),
        f"Validation {metric} by epoch of the finalists over {seeds}: the median, and the band "
        "that holds half of the runs. A run that failed leaves it where it ended.",
    )


def _band_plot(bands: Mapping[str, Band], *, alt: str, y: str) -> str:
    curves = [
        Line(
            name,
            [(epoch, median) for epoch, _, median, _ in band.points],
            [(epoch, low, high) for epoch, low, _, high in band.points],
        )
        for name, band in bands.items()
    ]
    return lines(curves, alt=alt, x="epoch", y=y)


def _interval_plot(pairs: tuple[Pair, ...], score: Score, leader: str) -> str:
    scale = 100.0 if score.scale == "log" else 1.0
    bars = [
        Bar(f"beside {pair.other}", scale * pair.mean, scale * pair.low, scale * pair.high)
        for pair in pairs
        if pair.mean is not None and pair.low is not None and pair.high is not None
    ]
    unit = "% (of the logarithm)" if score.scale == "log" else score.metric
    return intervals(
        bars,
        alt=f"Intervals of the difference between {leader} and each other finalist",
        x=f"ahead by, {unit}",
        margin=scale * score.delta,
    )


def _findings(report: Report) -> list[Block]:
    findings = report.selection.findings
    if not findings:
        return [Text("The audit has no finding.")]
    grouped: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        seen = f"{finding.arm}: {finding.evidence}" if finding.arm else finding.evidence
        grouped.setdefault((finding.kind, finding.advice), []).append(seen)
    blocks: list[Block] = []
    for (kind, advice), evidence in grouped.items():
        said = kind.replace("_", " ")
        blocks += [Text(f"{said[0].upper()}{said[1:]}: {advice}."), Bullets(evidence)]
    return blocks


def _recipe(report: Report) -> list[Block]:
    found = report.winner
    if found is None:
        return []
    rows = [
        [role, f"{part.id} version {part.version}", _numbers(part.params)]
        for role, part in found.recipe.parts()
    ]
    batch = "the whole training set" if found.recipe.batch_size is None else found.recipe.batch_size
    rows.append(["batch size", str(batch), ""])
    if found.recipe.model:
        rows.append(["model", "", _numbers(found.recipe.model)])
    blocks: list[Block] = [Table(found.title, ["part", "component", "parameters"], rows)]
    expected = found.expected()
    if expected is not None:
        low, high = expected
        blocks.append(
            Text(
                f"From {len(found.values)} runs, 99 of 100 further runs are expected to end with a "
                f"test {found.score.metric} of {low:.4g} … {high:.4g}."
            )
        )
    return blocks


def _numbers(params: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in params.items()
    )


def _search(report: Report) -> list[Block]:
    ranking = report.ranking
    metric = ranking.metric
    heads = ["arm", "best", "test", "median", "trials", "pruned", "failed"]
    rows = [
        [
            arm.arm,
            *(
                "–" if value is None else f"{value:.4g}"
                for value in (arm.best, arm.test, arm.median)
            ),
            str(arm.trials),
            str(arm.pruned),
            str(arm.failures),
        ]
        for arm in ranking.arms
    ]
    drawn = dict(list(report.curves.items())[:DRAWN])
    return [
        Text(
            f"Arms by the validation {metric} of their best trial: one search each, the luckiest "
            "trial of each."
        ),
        Table(f"Validation {metric} ({ranking.direction})", heads, rows, right=heads[1:]),
        Plot(
            _band_plot(drawn, alt=f"Validation {metric} by epoch, an arm a line", y=metric),
            f"Validation {metric} by epoch{_of(len(report.curves))}: the median of an arm's "
            "trials, and the band that holds half of them. Pruned trials leave it where they end.",
        ),
    ]


def _factors(report: Report) -> list[Block]:
    if not report.factors:
        return []
    rows = [
        [factor.name if i == 0 else "", level.name, str(level.trials), f"{level.place:.2f}"]
        for factor in report.factors
        for i, level in enumerate(factor.levels)
    ]
    caption = "Mean place among an arm's trials, 1 the top, .5 the middle"
    heads = ["what", "choice", "trials", "place"]
    return [
        *(Text(sentence) for sentence in said(report.factors)),
        Table(caption, heads, rows, right=heads[2:]),
    ]


def _importances(report: Report) -> list[Block]:
    told = [
        f"{arm}: {', '.join(f'{each.name} ({each.share:.0%})' for each in row if each.told)}."
        for arm, row in report.importances.items()
        if any(each.told for each in row)
    ]
    untold = [
        arm for arm, row in report.importances.items() if row and not any(i.told for i in row)
    ]
    few = [arm for arm, row in report.importances.items() if not row]
    blocks: list[Block] = [Bullets(told)] if told else []
    if told:
        blocks.append(
            Text(
                "Shares of what decides whether a trial is among the top ones (PED-ANOVA), where "
                "they are above what 19 of 20 shuffles of the values give any parameter: of twenty "
                "arms in which nothing decides, one is named by chance."
            )
        )
    if untold:
        text = f"The complete trials of {', '.join(untold)} cannot tell which parameter decides."
        blocks.append(Text(text))
    if few:
        blocks.append(Text(f"Too few complete trials to ask: {', '.join(few)}."))
    blocks += _interactions(report)
    if report.trials is not None:
        blocks.append(_lines_across(report.trials, report.ranking))
    return blocks


def _interactions(report: Report) -> list[Block]:
    told = [
        f"{arm}: {each.first} and {each.second} ({each.share:.0%})."
        for arm, row in report.interactions.items()
        for each in row
        if each.told
    ]
    untold = [
        arm for arm, row in report.interactions.items() if row and not any(i.told for i in row)
    ]
    few = [arm for arm, row in report.interactions.items() if not row]
    blocks: list[Block] = []
    if told:
        blocks += [
            Text("The best value of one depends on the other's:"),
            Bullets(told),
            Text(
                "In brackets the part of what the two explain that neither explains alone "
                "(functional analysis of variance), where it is beyond what 19 of 20 shuffles give "
                "any pair: of twenty arms without such a pair, one or two are named by chance."
            ),
        ]
    if untold:
        text = (
            f"The complete trials of {', '.join(untold)} cannot tell whether parameters interact."
        )
        blocks.append(Text(text))
    if few:
        names = ", ".join(few)
        blocks.append(Text(f"Too few complete trials to ask whether parameters interact: {names}."))
    return blocks


def _lines_across(trials: Trials, ranking: Ranking) -> Block:
    values = [value for value, _ in trials.rows]
    low, high = min(values), max(values)
    order = sorted(values, reverse=ranking.direction == "maximize")
    limit = order[(len(order) - 1) // 4]
    rows = []
    for value, places in trials.rows:
        top = value >= limit if ranking.direction == "maximize" else value <= limit
        rows.append(([*places, 0.5 if low == high else (value - low) / (high - low)], top))
    axes = [
        Axis(entry["name"].rpartition(".")[2], f"{entry['low']:.3g}", f"{entry['high']:.3g}")
        for entry in trials.entries
    ]
    axes.append(Axis(ranking.metric, f"{low:.3g}", f"{high:.3g}"))
    return Plot(
        parallel(axes, rows, alt=f"What the complete trials of {trials.arm} chose, and reached"),
        f"The complete trials of {trials.arm}, the leading arm: what they chose and, on the last "
        f"axis, the validation {ranking.metric} they reached. Blue: the leading quarter.",
    )


def _costs(report: Report) -> list[Block]:
    costs, metric = report.costs, report.ranking.metric
    spent = report.selection.seconds
    heads = ["arm", "trials", "seconds", "trials to the target", "seconds to it"]
    rows = [
        [
            arm.arm,
            str(arm.trials),
            f"{arm.seconds:.1f}",
            str(arm.to_target[0]) if arm.to_target else "–",
            f"{arm.to_target[1]:.1f}" if arm.to_target else "–",
        ]
        for arm in costs.arms
    ]
    blocks: list[Block] = [
        Text(
            f"Training took {spent['search']:.1f} s for the search, {spent['screen']:.1f} s for "
            f"screening, {spent['confirm']:.1f} s for the verdict and {spent['retune']:.1f} s for "
            "re-tuning."
        )
    ]
    if costs.target is not None:
        caption = f"Spent, and until a validation {metric} of {costs.target:.4g} was reached"
        blocks.append(Table(caption, heads, rows, right=heads[1:]))
    if costs.leaders:
        named = [
            f"after {n} trials an arm: {costs.leaders[n]}" for n in LED_AT if n in costs.leaders
        ]
        blocks.append(Bullets([f"Led {each}" for each in named]))
    curves = [
        Line(
            arm.arm,
            [(n, mean) for n, (mean, _) in enumerate(arm.expected, start=1)],
            spread(arm, report.ranking.direction),
        )
        for arm in costs.arms[:DRAWN]
    ]
    blocks.append(
        Plot(
            lines(
                curves,
                alt=f"Expected best validation {metric} by number of trials, an arm a line",
                x="complete trials",
                y=metric,
            ),
            f"The validation {metric} to expect from the best of n complete trials"
            f"{_of(len(costs.arms))}, and one standard deviation. It is for looking, not for "
            "testing.",
        )
    )
    return blocks


def spread(arm: ArmCost, direction: str) -> list[tuple[float, float, float]]:
    """One standard deviation around the expected best, though not beyond the best there is."""
    best = arm.best_so_far[-1] if arm.best_so_far else None
    if best is None:
        return []
    within = partial(min if direction == "maximize" else max, best)
    return [
        (n, within(mean - sd), within(mean + sd))
        for n, (mean, sd) in enumerate(arm.expected, start=1)
    ]


def _of(arms: int) -> str:
    return f", of the {DRAWN} leading arms" if arms > DRAWN else ""


def _ranges(report: Report) -> list[Block]:
    heads = ["arm", "parameter", "range"]
    rows: list[list[str]] = []
    shared: dict[tuple[str, str], list[str]] = {}
    for arm, entries in report.ranges.items():
        for entry in entries:
            shared.setdefault((entry["name"], _range(entry)), []).append(arm)
    for (name, text), arms in shared.items():
        who = "all" if len(arms) == len(report.ranges) else ", ".join(arms)
        rows.append([who, name, text])
    return [Table("Search spaces", heads, rows)] if rows else []


def _range(entry: Mapping[str, Any]) -> str:
    if "choices" in entry:
        return " or ".join(str(choice) for choice in entry["choices"])
    scale = ", logarithmic" if entry.get("log") else ""
    return f"{entry['low']:g} … {entry['high']:g}{scale}"


def _environment(report: Report) -> list[Block]:
    rows = [
        [row.kind, row.name, str(row.version), f"{row.distribution} {row.distribution_version}"]
        for row in report.components
    ]
    heads = ["kind", "component", "version", "distribution"]
    blocks: list[Block] = [Table("Components", heads, rows)] if rows else []
    if report.environments:
        latest = report.environments[-1]
        blocks.append(Code("\n".join(f"{name}: {value}" for name, value in latest.items())))
    return blocks


def _again(report: Report) -> list[Block]:
    study = report.source
    commands = [
        f"automl-opt run {study}",
        f"automl-opt select {study} --confirm",
        f"automl-opt export {study}",
        f"automl-opt replay {study}",
    ]
    return [
        Code("\n".join(commands)),
        Text(
            "The same seeds on the same machine give the same numbers; everything is in the "
            "database that the study names."
        ),
    ]
