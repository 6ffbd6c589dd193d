from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from automl_opt.api import Float, InitializerSpec, OneOf, OptimizerSpec
from automl_opt.core.errors import PluginError, UnknownComponent
from automl_opt.plugin.catalog import Catalog, Component


def optimizer(plugin, name, distribution=None, torch="torch.optim:SGD"):
    spec = OptimizerSpec(name=name, torch=torch)
    return Component(spec, plugin, distribution or f"{plugin}-dist", "1.0", plugin)


CATALOG = Catalog(
    [
        optimizer("builtin", "adam"),
        optimizer("builtin", "adamw"),
        optimizer("builtin", "sgd"),
        optimizer("acme", "lion"),
        optimizer("umbrella", "lion"),
        Component(InitializerSpec(name="lion"), "zoo", "zoo-dist", "2.0", "zoo"),
    ],
    failures=[("broken", "import failed: ModuleNotFoundError: No module named 'apex'")],
)


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("optimizer", "builtin.adamw", "builtin.adamw"),
        ("optimizer", "adamw", "builtin.adamw"),
        ("optimizer", "umbrella.lion", "umbrella.lion"),
        ("initializer", "lion", "zoo.lion"),
    ],
)
def test_a_component_is_found_by_id_and_by_a_short_name_that_is_its_own(kind, name, found):
    assert CATALOG.find(kind, name).id == found


def test_a_short_name_that_two_plugins_offer_is_refused_naming_both():
    with pytest.raises(UnknownComponent) as caught:
        CATALOG.find("optimizer", "lion")

    assert str(caught.value) == (
        "optimizer 'lion' is offered by plugin 'acme' (acme-dist 1.0) and by plugin 'umbrella' "
        "(umbrella-dist 1.0); write acme.lion or umbrella.lion"
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("adamv", "builtin.adamw"), ("builtin.sdg", "builtin.sgd"), ("acme.loin", "acme.lion")],
)
def test_an_unknown_name_is_answered_with_the_nearest_right_one(name, nearest):
    with pytest.raises(UnknownComponent) as caught:
        CATALOG.find("optimizer", name)

    assert f"no optimizer named {name!r}; did you mean {nearest!r}? allowed: " in str(caught.value)


def test_an_unknown_name_is_answered_with_the_plugins_that_are_not_loaded():
    with pytest.raises(UnknownComponent) as caught:
        CATALOG.find("optimizer", "broken.apex")

    assert str(caught.value).endswith(
        "\nPlugin 'broken' is not loaded: "
        "import failed: ModuleNotFoundError: No module named 'apex'"
    )


def test_a_component_of_another_kind_is_not_found():
    with pytest.raises(UnknownComponent, match=r"no initializer named 'adamw'; allowed: zoo\.lion"):
        CATALOG.find("initializer", "adamw")


def test_only_names_that_several_plugins_offer_for_one_kind_are_shared():
    shared = {key: [c.id for c in found] for key, found in CATALOG.shared_names().items()}

    assert shared == {("optimizer", "lion"): ["acme.lion", "umbrella.lion"]}


def test_components_are_sorted_by_kind_and_id():
    ids = [component.id for component in CATALOG.components()]

    assert ids == ["zoo.lion", *sorted(ids[1:])]
    assert [c.id for c in CATALOG.components("optimizer")] == sorted(ids[1:])


def test_a_spec_is_found_by_its_type():
    assert CATALOG.spec("lion", InitializerSpec) == InitializerSpec(name="lion")
    assert CATALOG.find("optimizer", "acme.lion").spec == CATALOG.spec("acme.lion", OptimizerSpec)


@pytest.mark.parametrize(
    ("distribution", "label"), [("automl-opt", "lion"), ("acme-dist", "acme.lion")]
)
def test_only_what_ships_with_automl_opt_is_labelled_by_its_short_name(distribution, label):
    assert optimizer("acme", "lion", distribution).label == label


def test_the_defaults_of_a_component_leave_out_what_does_not_exist_at_the_defaults():
    params = {
        "mode": OneOf(("plain", "decayed")),
        "decay": Float(0, 1, when=("mode", "decayed")),
        "lr": Float(0, 1, when=("mode", ("plain", "decayed"))),
    }
    spec = OptimizerSpec(name="sgd", torch="torch.optim:SGD", params=params)

    assert replace(CATALOG.find("optimizer", "sgd"), spec=spec).defaults() == {
        "mode": "plain",
        "lr": 0.5,
    }


def test_code_that_does_not_load_is_an_error_that_names_component_and_distribution():
    component = optimizer("acme", "apex", torch="no_such_module:Apex")

    with pytest.raises(
        PluginError,
        match=r"^optimizer acme\.apex version 1 \(acme-dist 1\.0\): 'no_such_module:Apex'",
    ):
        component.code(component.spec.torch)


def test_the_source_of_a_component_is_hashed_where_there_is_a_file():
    component = replace(optimizer("acme", "lion"), module=__name__)
    expected = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()

    assert component.source_sha256 == expected
    assert replace(component, module="sys").source_sha256 is None
    assert replace(component, module="never_imported").source_sha256 is None


def wrapper(plugin, name, distribution=None):
    spec = OptimizerSpec(name=name, wrap=lambda optimizer: optimizer)
    return Component(spec, plugin, distribution or f"{plugin}-dist", "1.0", plugin)


WRAPPERS = Catalog(
    [
        *CATALOG.components(),
        wrapper("builtin", "sam", "automl-opt"),
        wrapper("acme", "lookahead"),
    ]
)


@pytest.mark.parametrize(
    ("name", "found", "label"),
    [
        ("sam(adamw)", "builtin.sam(builtin.adamw)", "sam(builtin.adamw)"),
        ("builtin.sam(acme.lion)", "builtin.sam(acme.lion)", "sam(acme.lion)"),
        ("sam( lookahead(sgd) )", "builtin.sam(acme.lookahead(builtin.sgd))", None),
    ],
)
def test_a_wrapper_is_found_with_what_it_wraps(name, found, label):
    component = WRAPPERS.whole("optimizer", name)

    assert component.name == found
    assert label in (None, component.label)
    assert WRAPPERS.find("optimizer", component.name) == component
    assert component.alone.base is None


def test_a_chain_is_told_from_the_outermost_in():
    component = WRAPPERS.find("optimizer", "sam(lookahead(sgd))")

    assert [link.id for link in component.chain] == [
        "builtin.sam",
        "acme.lookahead",
        "builtin.sgd",
    ]
    assert [link.id for link in component.part().chain] == [link.id for link in component.chain]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sam(adamv)", "did you mean 'builtin.adamw'"),
        ("adam(sgd)", "builtin.adam wraps nothing; allowed: acme.lookahead, builtin.sam"),
        ("sam(adamw", "does not read as WRAPPER\\(COMPONENT\\)"),
        ("sam()", "does not read as WRAPPER\\(COMPONENT\\)"),
        ("sam(lookahead(sam(sgd)))", "builtin.sam is there twice"),
        ("sam", r"wraps another optimizer: write sam\(OPTIMIZER\)"),
        ("lookahead(sam)", r"builtin\.sam\) wraps another optimizer"),
    ],
)
def test_a_wrapper_that_is_misnamed_or_alone_is_refused(name, message):
    with pytest.raises(UnknownComponent, match=message):
        WRAPPERS.whole("optimizer", name)


def test_all_candidates_are_those_that_work_by_themselves():
    assert "builtin.sam" not in [c.id for c in WRAPPERS.candidates("optimizer")]
    assert "builtin.sgd" in [c.id for c in WRAPPERS.candidates("optimizer")]


def test_what_a_chain_declares_is_what_any_link_declares():
    closing = OptimizerSpec(name="sam", wrap=lambda optimizer: optimizer, closure=True)
    whole = replace(wrapper("acme", "sam"), spec=closing, base=optimizer("builtin", "sgd"))

    assert whole.has("closure")
    assert not whole.has("full_batch")


def test_a_short_name_that_is_ours_stays_ours_whoever_else_offers_it():
    ours = optimizer("builtin", "lion", "automl-opt")
    catalog = Catalog([*CATALOG.components(), ours])

    assert catalog.find("optimizer", "lion") == ours
    assert catalog.find("optimizer", "acme.lion").plugin == "acme"
    assert catalog.shared_names() == {}
