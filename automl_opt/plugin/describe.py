"""A component in words and as plain data, for ``plugins list`` and ``plugins show``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from automl_opt.api import OptimizerSpec, RegularizerSpec
from automl_opt.core import params as ranges
from automl_opt.core.params import Float, Int, OneOf, Param
from automl_opt.plugin.catalog import Component
from automl_opt.plugin.host import OFFERS, Host

PLURALS = {kind: hook.removeprefix("automl_opt_") for hook, kind in OFFERS.items()}
"""A kind -> what several of it are called: ``strategy`` -> ``strategies``."""


def component_data(component: Component) -> dict[str, Any]:
    """Everything declared, ready for JSON."""
    spec = component.spec
    return {
        "id": component.id,
        "kind": component.kind,
        "summary": spec.summary,
        "paper": spec.paper,
        "version": spec.version,
        "wraps": component.wraps,
        "generalises": {name: dict(values) for name, values in spec.generalises.items()},
        "expected_failures": dict(spec.expected_failures),
        "decay": spec.decay if isinstance(spec, OptimizerSpec) else None,
        "hooks": list(spec.hooks()) if isinstance(spec, RegularizerSpec) else [],
        "plugin": component.plugin,
        "distribution": component.distribution,
        "distribution_version": component.distribution_version,
        "params": {name: ranges.to_dict(param) for name, param in spec.params.items()},
    }


def host_data(host: Host, kind: str | None = None) -> dict[str, Any]:
    """Plugins with status and reason, and the components (of *kind*) they offer."""
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "status": plugin.status,
                "reason": plugin.reason,
                "components": len(plugin.components),
            }
            for plugin in host.plugins
        ],
        "counts": counts(host, kind),
        "components": [component_data(c) for c in host.catalog.components(kind)],
        "shared_names": [
            {"kind": shared, "name": name, "ids": [c.id for c in found]}
            for (shared, name), found in host.catalog.shared_names().items()
            if kind in (None, shared)
        ],
    }


def counts(host: Host, kind: str | None = None) -> dict[str, int]:
    """How many components of each kind (or of *kind*) there are; 0 is a count, too."""
    found = Counter(component.kind for component in host.catalog.components(kind))
    return {each: found[each] for each in PLURALS if kind in (None, each)}


def count_text(kind: str, count: int) -> str:
    """For example ``3 optimizers``."""
    return f"{count} {kind if count == 1 else PLURALS[kind]}"


def written(component: Component) -> str:
    """What a study file calls it: ``builtin.sam(…)`` for what wraps another."""
    return f"{component.name}(…)" if component.chain[-1].wraps else component.name


def facts(component: Component) -> list[tuple[str, str]]:
    """What a component declares beside its ranges, as lines of a name and a text."""
    spec = component.spec
    lines = [("source", spec.paper or "–"), ("version", str(spec.version))]
    lines.append(("plugin", f"{component.distribution} {component.distribution_version}"))
    if component.wraps:
        lines.append(("wraps", f"another {component.kind}"))
    for name, values in spec.generalises.items():
        pinned = ", ".join(f"{key} = {value!r}" for key, value in values.items())
        lines.append(("generalises", f"{name}, at {pinned}" if pinned else name))
    if isinstance(spec, OptimizerSpec) and spec.decay:
        lines.append(("decay", spec.decay))
    if isinstance(spec, RegularizerSpec):
        lines.append(("hooks", ", ".join(spec.hooks())))
    if component.has("priors"):
        lines.append(("priors", "pull its proposals"))
    lines += [("expected failure", f"{c}: {why}") for c, why in spec.expected_failures.items()]
    return lines


def range_text(param: Param) -> str:
    """A range on one line, for example ``1e-05 … 0.1, log, default 0.001``."""
    if isinstance(param, OneOf):
        text = " | ".join(repr(choice) for choice in param.choices)
    else:
        low, high = (f"{n:g}" if isinstance(n, float) else str(n) for n in (param.low, param.high))
        text = f"{low} … {high}"
        text += ", log" if param.log else ""
        every_one = isinstance(param, Int) and param.step == 1
        text += f", step {param.step:g}" if param.step and not every_one else ""
    text += f", default {param.default!r}"
    if not isinstance(param, OneOf) and param.prior:
        text += f", prior {prior_text(param)}"
    if param.when:
        text += f", when {param.when[0]} is {' or '.join(map(repr, param.when[1]))}"
    return text


def prior_text(param: Float | Int) -> str:
    """A prior's center and standard deviation: ``0.5 ± 0.1``, on a log scale ``0.001 ×÷ 3``."""
    assert param.prior is not None
    return f"{param.prior.center:g} {'×÷' if param.log else '±'} {param.prior.spread:g}"
