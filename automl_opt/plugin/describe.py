"""A component in words and as plain data, for ``plugins list`` and ``plugins show``."""

from __future__ import annotations

from typing import Any

from automl_opt.core import params as ranges
from automl_opt.core.params import Int, OneOf, Param
from automl_opt.plugin.catalog import Component
from automl_opt.plugin.host import Host


def component_data(component: Component) -> dict[str, Any]:
    """Everything declared, ready for JSON."""
    spec = component.spec
    return {
        "id": component.id,
        "kind": component.kind,
        "summary": spec.summary,
        "paper": spec.paper,
        "version": spec.version,
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
        "components": [component_data(c) for c in host.catalog.components(kind)],
        "shared_names": [
            {"kind": shared, "name": name, "ids": [c.id for c in found]}
            for (shared, name), found in host.catalog.shared_names().items()
            if kind in (None, shared)
        ],
    }


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
    if param.when:
        text += f", when {param.when[0]} is {' or '.join(map(repr, param.when[1]))}"
    return text
