"""A recipe as a plain torch script: no import of ours, the update written out or torch's own."""

from __future__ import annotations

import ast
import pprint
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from automl_opt.api import (
    ComponentSpec,
    InitializerSpec,
    OptimizerSpec,
    RegularizerSpec,
    SchedulerSpec,
)
from automl_opt.core.errors import VerdictError
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.study.inline import Inliner, Source, imported
from automl_opt.study.winner import Winner

TEMPLATE = Path(__file__).with_name("train.py.tmpl")
HOOKS = ("model", "batch", "mix", "attack", "loss", "grads", "weights", "average", "stop")
OURS = ("Task", "Metric", "Float", "Int", "OneOf")
STANDARD = """\
import argparse
import copy
import hashlib
import math
import random
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import default_collate
"""
TASK = '''\
@dataclass(kw_only=True)
class Task:
    """What is trained on what."""

    model: Any
    data: Any = None
    train: Any = None
    valid: Any = None
    test: Any = None
    split: tuple = (0.6, 0.2, 0.2)
    loss: Any = "cross_entropy"
    metrics: tuple = ()
    params: dict = field(default_factory=dict)


@dataclass
class Metric:
    name: str
    function: Any
    direction: str


def Float(*arguments, **options):
    """A range: of no use here, the recipe has its values."""


Int = OneOf = Float
'''


def script(what: Winner, spec: StudySpec, catalog: Catalog) -> str:
    """The text of ``train.py``.

    Raises:
        VerdictError: a component or the task is of code that cannot be written out.
    """
    inliner = Inliner(_is_ours(what.recipe, catalog))
    recipe = what.recipe
    optimizer = _whole(catalog, "optimizer", recipe.optimizer)
    made = _optimizer(inliner, optimizer, recipe.optimizer, recipe.lr_factor)
    factor, observe = _schedule(
        inliner, _whole(catalog, "scheduler", recipe.scheduler), recipe.scheduler
    )
    initializer = _whole(catalog, "initializer", recipe.initializer).spec
    assert isinstance(initializer, InitializerSpec)
    base = optimizer.chain[-1].spec
    assert isinstance(base, OptimizerSpec)
    whole_batch = optimizer.has("full_batch") or recipe.batch_size is None
    interval = what.expected()
    constants = {
        "SEEDS": asdict(what.seeds),
        "EPOCHS": spec.epochs,
        "BATCH_SIZE": None if whole_batch else recipe.batch_size,
        "ACCUMULATE": recipe.accumulate,
        "MODEL": dict(recipe.model),
        "DEVICE": spec.device,
        "THREADS": spec.threads,
        "SEARCHED": spec.metric,
        "MAXIMIZE": what.maximize,
        "METRIC": what.score.metric,
        "EXPECTED": interval,
        "DECAY": base.decay,
        "CLOSURE": optimizer.has("closure"),
        "CURVATURE": optimizer.has("create_graph"),
    }
    lines = [f"{name} = {pprint.pformat(value, width=88)}" for name, value in constants.items()]
    double = spec.precision == "float64"
    lines += [
        f"DTYPE = torch.{'float64' if double else 'float32'}",
        f"AUTOCAST = {'torch.bfloat16' if spec.precision == 'bf16' else None}",
        "KEEP_THEIR_WEIGHTS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)",
        f"FACTOR = {factor}",
        f"OBSERVE = {observe}",
        f"FILL = {_filled(inliner, initializer.init, recipe.initializer.params)}",
        f"FIT = {_filled(inliner, initializer.fit, recipe.initializer.params)}",
        _hooks(inliner, catalog, recipe),
    ]
    task, task_imports, make_task = _task(spec)
    imports = sorted(inliner.imports | set(task_imports))
    body = "\n\n\n".join(
        [
            "# --- the task",
            TASK.strip(),
            task.strip(),
            f"make_task = {make_task}",
            "# --- the components, as automl-opt has them",
            *inliner.texts,
            "# --- the recipe",
            "\n".join(lines),
            TEMPLATE.read_text("utf-8").strip(),
        ]
    )
    body = body.replace("class RuleOptimizer", f"{made}\n\n\nclass RuleOptimizer", 1)
    text = _head(what, spec, interval, imports) + _imports(imports) + "\n\n" + body + "\n"
    compile(text, "train.py", "exec")
    return text


def _head(
    what: Winner, spec: StudySpec, interval: tuple[float, float] | None, imports: Iterable[str]
) -> str:
    told = [f"Trains {what.title} of study {spec.name}; exported by automl-opt."]
    if interval is not None:
        n, low, high = len(what.values), *interval
        told.append(
            f"From {n} runs with other seeds, 99 of 100 further runs are expected to end with a "
            f"test {what.score.metric} of {low:.6g} … {high:.6g}."
        )
    else:
        told.append("It was not trained with fresh seeds, so no interval is expected of it.")
    if what.recorded is not None:
        told.append(
            f"With the seeds below it ended with {what.score.metric} = {what.recorded:.10g}."
        )
    parts = [f"{role} {part.id} version {part.version}" for role, part in what.recipe.parts()]
    told.append(f"The recipe: {', '.join(parts)}.")
    text = "\n\n".join(
        textwrap.fill(line, 96, break_long_words=False, break_on_hyphens=False) for line in told
    )
    return "\n".join(
        ["# /// script", '# requires-python = ">=3.11"', "# dependencies = ["]
        + [f'#   "{each}",' for each in _lock(imports)]
        + ["# ]", "# ///", f'"""{text}\n"""', "", "from __future__ import annotations", "", ""]
    )


def _lock(imports: Iterable[str]) -> list[str]:
    """The distributions that the script imports, each at the version that is installed here."""
    packages = packages_distributions()
    used = {"torch", "numpy"}
    for statement in imports:
        for node in ast.parse(statement).body:
            for _, what in imported(node):
                used.add(what.module.partition(".")[0])
    names = {packages[package][0] for package in used if package in packages}
    return [f"{name}=={version(name).partition('+')[0]}" for name in sorted(names)]


def _imports(more: Iterable[str]) -> str:
    return STANDARD + "".join(f"{line}\n" for line in more if line not in STANDARD.splitlines())


def _is_ours(recipe: Recipe, catalog: Catalog) -> Callable[[str], bool]:
    """Whether a module is written out: automl_opt's, and those of the plugins that take part."""
    roots = {"automl_opt"}
    for role, part in recipe.parts():
        component = catalog.find(role, part.id)
        for module in (component.module, component.code_module):
            if module is not None:
                roots.add(module.partition(".")[0])
    return lambda module: module.partition(".")[0] in roots


def _whole(catalog: Catalog, kind: str, part: Part) -> Component:
    return catalog.whole(kind, part.name)


def _optimizer(inliner: Inliner, component: Component, part: Part, lr_factor: float) -> str:
    """``make_optimizer``: the wrappers from the innermost out."""
    lines = ["def make_optimizer(parameters):"]
    for link, own in reversed(list(zip(component.chain, part.chain, strict=True))):
        spec = link.spec
        assert isinstance(spec, OptimizerSpec)
        params: dict[str, Any] = dict(own.params)
        if spec.wrap is not None:
            lines.append(f"    optimizer = {inliner.take(spec.wrap)}(optimizer{_options(params)})")
            continue
        if "lr" in params:
            params["lr"] = params["lr"] * lr_factor
        if spec.torch is not None:
            made = f"{inliner.take(spec.torch)}(parameter_groups(parameters){_options(params)})"
        else:
            assert spec.rule is not None
            coefficients = spec.rule.coefficients
            rule = ", ".join(
                [
                    inliner.take(spec.rule.init),
                    inliner.take(spec.rule.update),
                    inliner.take(coefficients) if coefficients else "None",
                    repr(bool(spec.create_graph)),
                ]
            )
            made = f"RuleOptimizer(parameter_groups(parameters), ({rule}), {params!r})"
        lines.append(f"    optimizer = {made}")
    return "\n".join([*lines, "    return optimizer"])


def _options(params: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in params.items())


def _schedule(inliner: Inliner, component: Component, part: Part) -> tuple[str, str]:
    """The expressions for the factor and for what observes, ``None`` where there is none."""
    spec = component.spec
    assert isinstance(spec, SchedulerSpec)
    if spec.observe is not None:
        return "None", _filled(inliner, spec.observe, part.params)
    if spec.factor is not None:
        return _filled(inliner, spec.factor, part.params), "None"
    assert component.base is not None
    assert part.base is not None
    inner, observe = _schedule(inliner, component.base, part.base)
    inner = "lambda step, total: 1.0" if inner == "None" else inner
    wrap = inliner.take(spec.wrap)
    return f"partial({wrap}, {inner}{_options(part.params)})", observe


def _filled(inliner: Inliner, code: Any, params: Mapping[str, Any]) -> str:
    if code is None:
        return "None"
    name = inliner.take(code)
    return f"partial({name}{_options(params)})" if params else name


def _hooks(inliner: Inliner, catalog: Catalog, recipe: Recipe) -> str:
    hooks: dict[str, list[str]] = {hook: [] for hook in HOOKS}
    for part in recipe.regularizers:
        spec: ComponentSpec = catalog.whole("regularizer", part.name).spec
        assert isinstance(spec, RegularizerSpec)
        for hook, code in spec.hooks().items():
            hooks[hook].append(_filled(inliner, code, part.params))
    lines = [f'    "{hook}": [{", ".join(codes)}],' for hook, codes in hooks.items()]
    return "\n".join(["HOOKS = {", *lines, "}"])


def _task(spec: StudySpec) -> tuple[str, list[str], str]:
    """The task's file without its imports of ours; the imports; the function that makes it."""
    place, _, function = spec.task.partition(":")
    if place.endswith(".py"):
        text = (Path(spec.source).parent / place).read_text("utf-8")
    else:
        text = b"\n".join(Source(place).lines).decode()
    tree = ast.parse(text)
    lines = text.splitlines()
    imports, extra = [], []
    for node in tree.body:
        for name, what in imported(node):
            if what.module.partition(".")[0] != "automl_opt":
                imports.append(what.statement(name))
            elif what.name in OURS:
                extra += [f"{name} = {what.name}"] if name != what.name else []
            elif what.name is None:
                fields = ", ".join(f"{each}={each}" for each in OURS)
                extra.append(f"{name} = __import__('types').SimpleNamespace({fields})")
            else:
                raise VerdictError(
                    f"{spec.task} imports {what.name} of {what.module}: a script without "
                    "automl_opt cannot have it"
                )
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] = ""
    first = tree.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):  # its docstring
        for number in range(first.lineno, (first.end_lineno or first.lineno) + 1):
            lines[number - 1] = ""
    _refuse_clashes(tree, spec)
    kept = re.sub(r"\n{4,}", "\n\n\n", "\n".join([*extra, *lines]))
    return kept, imports, function


def _refuse_clashes(tree: ast.Module, spec: StudySpec) -> None:
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    taken = {
        node.name
        for node in ast.parse(TEMPLATE.read_text("utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    both = sorted(defined & (taken | set(OURS) | {"make_task", "make_optimizer"}))
    if both:
        raise VerdictError(
            f"{spec.task}: {', '.join(both)} would clash with a name of the exported script; "
            "give it another name"
        )
