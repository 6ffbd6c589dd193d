from __future__ import annotations

import inspect

import pluggy

from automl_opt import api
from automl_opt.api import PROJECT, hookspecs
from automl_opt.plugin.catalog import SPEC_OF_KIND
from automl_opt.plugin.host import HOOKS, OFFERS


def test_pluggy_knows_every_hook_with_its_arguments():
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)

    arguments = {hook: getattr(manager.hook, hook).spec.argnames for hook in HOOKS}

    assert len(HOOKS) == 10
    assert arguments == {
        hook: tuple(inspect.signature(getattr(hookspecs, hook)).parameters) for hook in HOOKS
    }


def test_every_kind_of_component_has_its_hook_and_its_spec():
    assert set(OFFERS) <= set(HOOKS)
    assert set(OFFERS.values()) == set(SPEC_OF_KIND)


def test_a_plugin_author_finds_every_spec_in_the_api():
    assert {spec.__name__ for spec in SPEC_OF_KIND.values()} <= set(api.__all__)
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
