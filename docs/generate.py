"""Writes what docs/ says of components, checks and views, from what they declare.

``python docs/generate.py`` writes docs/reference/, a page a kind and a plot a schedule, in the
pages of docs/plugins/ the table of their kind's checks, and in docs/reference/sql.md the columns
of every view. ``--check`` writes nothing, and exits with
1 where something is not as it would be written.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from click.testing import CliRunner

from automl_opt.api import (
    ComponentSpec,
    InitializerSpec,
    Int,
    OneOf,
    OptimizerSpec,
    RegularizerSpec,
    SchedulerSpec,
    StrategySpec,
)
from automl_opt.cli.main import cli
from automl_opt.core.params import Param, Value
from automl_opt.plugin.catalog import SPEC_OF_KIND, Component
from automl_opt.plugin.describe import PLURALS, count_text, prior_text, written
from automl_opt.plugin.host import Host, load_host
from automl_opt.store.view import View
from automl_opt.store.views import VIEWS
from automl_opt.testing import CHECKS

DOCS = Path(__file__).parent
PLOTS = "reference/schedules"
TITLES = {
    "scheduler": "Learning-rate schedules",
    "strategy": "Search strategies",
}
CHECKS_BEGIN = "<!-- the checks, as docs/generate.py writes them -->"
CHECKS_END = "<!-- end of the checks -->"
VIEWS_PAGE = "reference/sql.md"
VIEWS_BEGIN = "<!-- the views, as docs/generate.py writes them -->"
VIEWS_END = "<!-- end of the views -->"

STEPS = 160
EPOCHS = 20
INTRODUCTIONS = {
    "scheduler": "Each plot is the factor on the learning rate over a run, at the defaults: a "
    "wrapper around a straight fall, and one that observes where the loss falls for half of "
    f"{EPOCHS} epochs, then stays.",
}


def main(arguments: Sequence[str] | None = None, docs: Path = DOCS) -> int:
    """The exit code: 1 where ``--check`` found something stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    check = parser.parse_args(arguments).check
    wanted = pages(docs)
    stale = [path for path, text in wanted.items() if not _is(docs / path, text)]
    left = [path for path in _plots_in(docs) if path not in wanted]
    for path in [*stale, *left]:
        print(f"docs/{path}{' is stale' if check else ''}")
    if check:
        return 1 if stale or left else 0
    for path in stale:
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(wanted[path], encoding="utf-8")
    for path in left:
        (docs / path).unlink()
    return 0


def pages(docs: Path = DOCS) -> dict[str, str]:
    """Every file that is written, by its path under *docs*, and what belongs in it."""
    host = load_host(allow=())  # what ships with automl-opt, whatever else is installed
    found: dict[str, str] = {}
    for kind in SPEC_OF_KIND:
        found[f"reference/{PLURALS[kind]}.md"] = _page(kind, host)
        guide = docs / f"plugins/{kind}.md"
        found[f"plugins/{kind}.md"] = _with_checks(guide.read_text("utf-8"), kind)
    found[VIEWS_PAGE] = _with_views((docs / VIEWS_PAGE).read_text("utf-8"))
    for component in host.catalog.components("scheduler"):
        found[f"{PLOTS}/{component.spec.name}.svg"] = _plot(component)
    return found


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


def _plots_in(docs: Path) -> list[str]:
    return [f"{PLOTS}/{path.name}" for path in sorted((docs / PLOTS).glob("*.svg"))]


def _page(kind: str, host: Host) -> str:
    components = host.catalog.components(kind)
    shown = next(c for c in components if c.spec.params and not c.wraps)
    several = PLURALS[kind]
    lines = [
        f"# {TITLES.get(kind, several.capitalize())}",
        "",
        *_command("plugins", "show", shown.spec.name),
        "",
        _wrapped(
            f"{count_text(kind, len(components))} ship with automl-opt. `automl-opt plugins list "
            f"--kind {kind}` tells what is installed beside them, and [the guide]"
            f"(../plugins/{kind}.md) how to offer one of your own. This page is written by "
            "`docs/generate.py` from what the components declare."
        ),
        "",
        *([_wrapped(INTRODUCTIONS[kind]), ""] if kind in INTRODUCTIONS else []),
        _wrapped(" · ".join(f"[{c.spec.name}](#{c.spec.name})" for c in components)),
    ]
    for component in components:
        lines += ["", *_section(component)]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 116, break_long_words=False, break_on_hyphens=False)


def _command(*words: str) -> list[str]:
    """A command line of ours and what it prints."""
    result = CliRunner().invoke(cli, ["--no-plugins", *words], catch_exceptions=False)
    return ["```console", f"$ automl-opt {' '.join(words)}", *result.output.splitlines(), "```"]


def _section(component: Component) -> Iterator[str]:
    spec = component.spec
    yield f"## {spec.name}"
    yield ""
    yield f"`{written(component)}` version {spec.version}: {spec.summary}."
    yield ""
    if isinstance(spec, SchedulerSpec):
        plot = f"{PLOTS.rpartition('/')[2]}/{spec.name}.svg"
        yield from (f"![{spec.name} over a run, at its defaults]({plot})", "")
    yield from _told(component).splitlines()
    yield ""
    yield f"- Source: {spec.paper or 'none'}"
    for fact in _facts(spec, component.kind):
        yield f"- {fact}"
    if not spec.params:
        yield "- Nothing to search."
        return
    yield ""
    conditions = any(param.when for param in spec.params.values())
    yield f"| parameter | range | scale | default |{' exists when |' if conditions else ''}"
    yield "|---|---|---|---|" + ("---|" if conditions else "")
    for name, param in spec.params.items():
        columns = [f"`{name}`", *_columns(param), *([_condition(param)] if conditions else [])]
        yield f"| {' | '.join(columns)} |"


def _told(component: Component) -> str:
    """The docstring of the component's module, in Markdown."""
    text = inspect.cleandoc(_module(component).__doc__ or "")
    text = re.sub(r":\w+:`(?:~[\w.]*\.)?([^`]*)`", r"`\1`", text).replace("``", "`")
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _module(component: Component) -> ModuleType:
    """The module that *component* is declared in: its code may be another's."""
    for module in list(sys.modules.values()):
        if vars(module).get("spec") is component.spec:
            return module
    return sys.modules[component.module]


def _facts(spec: ComponentSpec, kind: str) -> Iterator[str]:
    for other, values in spec.generalises.items():
        at = ", ".join(f"`{key} = {value!r}`" for key, value in values.items())
        yield f"Generalises `{other}`{f': the same at {at}' if at else ''}"
    if isinstance(spec, OptimizerSpec):
        if spec.wrap is not None:
            yield f"Wraps another optimizer: `{spec.name}(OPTIMIZER)`"
        if spec.decay:
            yield f"Weight decay: `{spec.decay}`; biases, norms and other vectors go free of it"
        if spec.full_batch:
            yield "Works on the whole training set at every step: no batch size is searched"
        if spec.closure:
            yield "Evaluates the model more than once a step"
        if spec.create_graph:
            yield "Differentiates the gradients again, for an estimate of the Hessian's diagonal"
    if isinstance(spec, SchedulerSpec):
        if spec.wrap is not None:
            yield f"Wraps another schedule: `{spec.name}(SCHEDULER)`"
        if spec.observe is not None:
            yield "Follows the validation loss after every epoch, not the steps"
    if isinstance(spec, RegularizerSpec):
        yield f"Hooks: {', '.join(f'`{hook}`' for hook in spec.hooks())}"
        if spec.losses:
            yield f"For the loss {' or '.join(f'`{loss}`' for loss in spec.losses)} only"
        if spec.identity:
            at = ", ".join(f"`{key} = {value!r}`" for key, value in spec.identity.items())
            yield f"Changes nothing at {at}"
    if isinstance(spec, InitializerSpec) and spec.fit is not None:
        yield "Runs the model on a batch of training inputs to fit the weights"
    if isinstance(spec, StrategySpec) and spec.priors:
        yield "Proposals are pulled towards the priors of ranges"
    if getattr(spec, "twin", None) is not None:
        yield "Held against a twin, the same method from an independent library"
    for check, reason in spec.expected_failures.items():
        yield f"Does not pass the check `{check}`, as declared: {reason}"


def _columns(param: Param) -> Iterator[str]:
    """Range, scale and default."""
    if isinstance(param, OneOf):
        yield " or ".join(f"`{_value(choice)}`" for choice in param.choices)
        yield "choice" if len(param.choices) > 1 else "fixed"
    else:
        yield f"{_value(param.low)} … {_value(param.high)}"
        step = f", steps of {_value(param.step)}" if param.step not in (None, 1) else ""
        whole = "whole numbers, " if isinstance(param, Int) else ""
        yield f"{whole}{'logarithmic' if param.log else 'linear'}{step}"
    prior = f", prior {prior_text(param)}" if not isinstance(param, OneOf) and param.prior else ""
    yield f"`{_value(param.default)}`{prior}"


def _condition(param: Param) -> str:
    if param.when is None:
        return ""
    sibling, values = param.when
    return f"`{sibling}` is {' or '.join(f'`{_value(value)}`' for value in values)}"


def _value(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_checks(text: str, kind: str) -> str:
    """*text* with the table of the checks that are put to *kind* between its two marks."""
    rows = [
        f"| `{check.name}` | {check.asks.replace('``', '`')} |"
        for check in CHECKS
        if kind in check.kinds
    ]
    head = ["| check | what it asks, and what to do |", "|---|---|"]
    return _between(text, CHECKS_BEGIN, [*head, *rows], CHECKS_END)


def _with_views(text: str) -> str:
    """*text* with a table of every view's columns between its two marks."""
    lines = [_wrapped(" · ".join(f"[{view.name}](#{view.name})" for view in VIEWS))]
    for view in VIEWS:
        lines += ["", *_columns_of(view)]
    return _between(text, VIEWS_BEGIN, lines, VIEWS_END)


def _columns_of(view: View) -> Iterator[str]:
    yield f"### {view.name}"
    yield ""
    yield f"A row is {view.row}."
    yield ""
    yield "| column | type | meaning | unit |"
    yield "|---|---|---|---|"
    for column in view.columns:
        yield f"| `{column.name}` | {column.type} | {column.meaning} | {column.unit} |"


def _between(text: str, begin: str, lines: Sequence[str], end: str) -> str:
    """*text* with *lines* between the marks *begin* and *end*."""
    written = "\n".join([begin, "", *lines, "", end])
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return between.sub(lambda _: written, text)


def _plot(component: Component) -> str:
    """The factor over a run as a small picture, the same on every machine."""
    factors = _factors(component)
    top = max(1.0, *factors)
    across = 310 / (len(factors) - 1)
    points = [f"{34 + across * i:.1f},{88 - 76 * f / top:.1f}" for i, f in enumerate(factors)]
    rows = [" ".join(points[start : start + 8]) for start in range(0, len(points), 8)]
    name = component.spec.name
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 110" width="360" '
            'height="110" role="img" font-family="sans-serif" font-size="10">',
            f"<title>{name} over a run, at its defaults</title>",
            '<path d="M34 8V88H348M30 12H34" fill="none" stroke="#8c959f"/>',
            '<g fill="#8c959f">',
            f'<text x="27" y="16" text-anchor="end">{top:g}</text>',
            '<text x="27" y="92" text-anchor="end">0</text>',
            '<text x="34" y="103">start</text>',
            '<text x="344" y="103" text-anchor="end">end of the run</text>',
            "</g>",
            '<polyline fill="none" stroke="#2f81f7" stroke-width="2" points="',
            *rows,
            '"/>',
            "</svg>",
            "",
        ]
    )


def _factors(component: Component) -> list[float]:
    spec = component.spec
    assert isinstance(spec, SchedulerSpec)
    params = component.defaults()
    if spec.observe is not None:
        observe = partial(component.code(spec.observe), **params)
        return list(_observed(observe))
    if spec.wrap is not None:
        factor: Callable[[int, int], float] = partial(component.code(spec.wrap), _fall, **params)
    else:
        assert spec.factor is not None
        factor = partial(component.code(spec.factor), **params)
    return [factor(step, STEPS) for step in range(STEPS + 1)]


def _fall(step: int, total: int) -> float:
    return 1 - step / total


def _observed(observe: Callable[..., dict[str, float]]) -> Iterator[float]:
    """The factor at every step, of epochs whose loss falls for half of the run, then stays."""
    state: dict[str, float] | None = None
    factor = 1.0
    for epoch in range(EPOCHS):
        yield from [factor] * (STEPS // EPOCHS)
        state = observe(math.exp(-min(epoch, EPOCHS // 2) / 5), state)
        factor = state["factor"]
    yield factor


if __name__ == "__main__":
    sys.exit(main())
