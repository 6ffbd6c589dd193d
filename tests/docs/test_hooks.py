"""The pages on plugins have every hook and every function with the arguments that the code has."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from automl_opt.api import ComponentSpec, Rule, hookspecs
from automl_opt.api.regularizer import HOOKS as HOOKS_OF_TRAINING
from automl_opt.plugin.catalog import SPEC_OF_KIND
from automl_opt.plugin.host import HOOKS
from automl_opt.testing import CHECKS

DOCS = Path(__file__).parents[2] / "docs" / "plugins"
PAGE = (DOCS / "hooks.md").read_text("utf-8")


def functions_of(spec: type) -> list[str]:
    """The ``name(arguments) -> result`` that the docstring of *spec* gives for each of its fields.

    A docstring may break a line inside of them.
    """
    text = " ".join(inspect.cleandoc(spec.__doc__ or "").split())
    found = (
        re.search(rf" {field.name}: ``({field.name}\([^`]*)``", text) for field in fields(spec)
    )
    return [match[1] for match in found if match]


def shown(text: str) -> str:
    """*text* of a table, where a vertical line is escaped."""
    return text.replace("\\|", "|")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_told_with_its_exact_arguments(hook):
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")

    assert f"| `{hook}{signature}` |" in PAGE


@pytest.mark.parametrize("spec", [Rule, *SPEC_OF_KIND.values()], ids=lambda spec: spec.__name__)
def test_the_functions_of_a_spec_are_told_with_their_exact_arguments(spec):
    kind = getattr(spec, "kind", "optimizer")
    guide = (DOCS / f"{kind}.md").read_text("utf-8")

    found = functions_of(spec)

    assert found
    for function in found:
        assert f"`{function}`" in shown(PAGE), function
        assert f"`{function}`" in shown(guide), function


@pytest.mark.parametrize("kind", SPEC_OF_KIND)
def test_every_field_of_a_spec_is_on_the_page_of_its_kind(kind):
    guide = (DOCS / f"{kind}.md").read_text("utf-8")
    common = {field.name for field in fields(ComponentSpec)}

    own = [field.name for field in fields(SPEC_OF_KIND[kind]) if field.name not in common]

    assert [name for name in own if not re.search(rf"^\| `{name}\b", guide, re.MULTILINE)] == []


def test_what_every_spec_carries_is_all_that_it_carries():
    table = PAGE.partition("## What every spec carries")[2].partition("## ")[0]

    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)

    assert sorted(told) == sorted(field.name for field in fields(ComponentSpec))


def test_every_hook_of_a_regularizer_is_told():
    guide = (DOCS / "regularizer.md").read_text("utf-8")

    assert [hook for hook in HOOKS_OF_TRAINING if f"| `{hook}` | `{hook}(" not in guide] == []


@pytest.mark.parametrize("kind", SPEC_OF_KIND)
def test_every_check_of_a_kind_is_told_with_what_it_asks(kind):
    guide = (DOCS / f"{kind}.md").read_text("utf-8")

    rows = [
        f"| `{check.name}` | {check.asks.replace('``', '`')} |"
        for check in CHECKS
        if kind in check.kinds
    ]

    assert rows
    assert [row for row in rows if row not in guide] == []
