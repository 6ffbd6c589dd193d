"""The kit names the right check for each mistake, and takes declared failures at their word."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from automl_opt.api import PROJECT, Float, InitializerSpec
from automl_opt.plugin.catalog import Catalog, Component
from automl_opt.plugin.host import load_host
from automl_opt.testing import CHECKS, CheckFailed, checks_of, run_checks

from .examples import WRONG, component_named, failed, outcomes

STEPS = (
    *("dtypes", "groups", "huge_gradient", "network", "parameters", "quadratic", "ranges"),
    *("resume", "same_seed", "state_dict", "zero_gradient"),
)
"""The checks that step an optimizer, which refuses an update that writes into its gradient."""

MISTAKES = {
    "initializer": {
        "divides_by_fan_in_minus_one": {"finite", "ranges"},
        "fill_from_the_global_source": {"same_seed"},
        "fill_the_first_row": {"in_place"},
        "fits_nothing": {"fit"},
        "ignores_its_gain": {"parameters"},
        "returns_a_new_one": {"in_place"},
        "states_another_variance": {"variance"},
    },
    "optimizer": {
        "always_float32": {"dtypes"},
        "asks_for_a_value": {"vmap"},
        "changes_the_shape_of_its_state": {"dtypes"},
        "climbs": {"network", "quadratic"},
        "counts_outside_the_state": {"resume"},
        "decays_every_group": {"decay"},
        "divides_by_the_norm": {"zero_gradient"},
        "draws_without_a_seed": {"same_seed", "resume"},  # what does not repeat cannot resume
        "hides_what_is_not_a_number": {"huge_gradient"},
        "ignores_what_is_declared": {"parameters"},
        "is_not_its_twin": {"twin"},
        "keeps_an_object_in_its_state": {"state_dict"},
        "keeps_the_first_learning_rate": {"groups"},
        "names_no_source": {"source"},
        "reaches_too_far": {"ranges"},
        "takes_what_is_not_declared": {"parameters"},
        "writes_into_its_state": {"pure"},
        "writes_into_the_gradient": {"pure", *STEPS},
    },
    "pruner": {
        "ends_the_best": {"keeps_best"},
        "has_a_secret_patience": {"parameters"},
        "throws_a_coin": {"same_answer"},
        "wants_whole_numbers": {"runs"},
    },
    "regularizer": {
        "blows_up": {"trains"},
        "halves_in_place": {"pure"},
        "halves_precision": {"dtypes"},
        "ignores_its_strength": {"parameters"},
        "never_quite_off": {"identity"},
        "remembers_in_the_module": {"resume"},
        "shakes_by_chance": {"same_seed", "resume"},
    },
    "scheduler": {
        "divides_by_the_steps_between": {"total_one"},
        "falls_below_zero": {"finite"},
        "generalises_nothing": {"generalises"},
        "ignores_its_end": {"parameters"},
        "ignores_what_it_wraps": {"wraps"},
        "is_no_twin": {"twin"},
        "keeps_a_set": {"resume"},
        "remembers_how_often_it_was_asked": {"pure"},
    },
    "strategy": {
        "counts_on_the_storage": {"resumes"},
        "has_a_secret": {"parameters"},
        "leaves_the_grid": {"samples_in_range", "optuna"},
        "unseeded": {"repeats", "resumes"},
        "wants_every_parameter": {"conditional", "optuna"},
    },
}
"""What is wrong with each component of ``wrong/wrong_components.py``, by the checks it fails."""

CASES = [(name, checks) for of_kind in MISTAKES.values() for name, checks in of_kind.items()]

HEAVY = """
import numpy

from automl_opt.api import InitializerSpec, hookimpl


@hookimpl
def automl_opt_initializers():
    yield InitializerSpec(name="heavy", paper="made up")
"""

EXPECTING = """
from automl_opt.api import Float, OptimizerSpec, Rule, hookimpl


def init(param):
    return {}


def sign(param, grad, state, *, lr):
    return param - lr * grad / grad.norm(), state


@hookimpl
def automl_opt_optimizers():
    for name, expected in (
        ("with_reason", {"zero_gradient": "it divides by the norm, as the paper does"}),
        ("too_modest", {"zero_gradient": "it divides by the norm", "quadratic": "too slow"}),
        ("misspelt", {"zero_gradient": "it divides by the norm", "zero_gradients": "it does"}),
        ("without_twin", {"zero_gradient": "it divides by the norm", "twin": "there is none"}),
    ):
        yield OptimizerSpec(
            name=name,
            paper="made up",
            rule=Rule(init, sign),
            params={"lr": Float(1e-3, 0.1, log=True)},
            expected_failures=expected,
        )
"""


@pytest.fixture(scope="module")
def wrong():
    """The wrong components as a plugin, loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(WRONG))
        yield load_host([EntryPoint("wrong", "wrong_components", PROJECT)], allow=["wrong"])
    sys.modules.pop("wrong_components")


@pytest.fixture
def expecting(installed):
    return installed.write("expecting", EXPECTING).host()


@pytest.mark.parametrize(("name", "checks"), CASES, ids=[name for name, _ in CASES])
def test_the_kit_names_the_mistake_and_no_other(name, checks, wrong):
    assert failed(wrong, name).keys() == checks


def test_every_wrong_component_is_in_the_table(wrong):
    offered = {(c.kind, c.spec.name) for c in wrong.catalog.components()}

    assert offered == {(kind, name) for kind, names in MISTAKES.items() for name in names}


@pytest.mark.parametrize(
    ("kind", "check"),
    [(kind, check) for check in CHECKS for kind in check.kinds],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_check_can_fail(kind, check):
    """For the checks of all kinds one kind will do; light_import has a test of its own."""
    kinds = MISTAKES if len(check.kinds) > 1 else [kind]
    found = {name for each in kinds for checks in MISTAKES[each].values() for name in checks}

    assert check.name in found | {"light_import"}


def test_every_check_says_in_one_sentence_what_it_asks_and_what_to_do():
    for check in CHECKS:
        assert check.asks.endswith(".")
        assert ":" in check.asks
        assert check.run.__name__ == f"check_{check.name}"


def test_no_two_checks_of_a_kind_share_a_name():
    for kind in MISTAKES:
        names = [check.name for check in CHECKS if kind in check.kinds]
        assert len(names) == len(set(names))


def test_a_plugin_that_imports_numpy_is_told_so(installed):
    host = installed.write("heavy", HEAVY).host()

    assert "imports numpy" in failed(host, "heavy")["light_import"]


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("writes_into_its_state", "pure", "update() changed its input state['momentum']: return"),
        ("takes_what_is_not_declared", "parameters", "update() takes 'beta', which params does"),
        ("ignores_what_is_declared", "parameters", "'beta' changes nothing"),
        ("reaches_too_far", "ranges", "with beta=1.0 it raised ZeroDivisionError"),
        ("keeps_an_object_in_its_state", "state_dict", "decimal.Decimal"),
        ("asks_for_a_value", "vmap", "use torch.where"),
        ("always_float32", "dtypes", "a parameter of bfloat16 [4, 5] into float32 [4, 5]"),
        ("falls_below_zero", "finite", "the factor is -1.0 at step 2 of 2"),
        ("leaves_the_grid", "samples_in_range", "'decay'"),
    ],
)
def test_a_failure_says_what_happened_and_what_to_change(name, check, words, wrong):
    message = outcomes(wrong, name, [check])[check].message

    assert words in message
    assert ": " in message


def test_a_declared_failure_shows_with_its_reason(expecting):
    outcome = outcomes(expecting, "with_reason")["zero_gradient"]

    assert outcome.status == "expected"
    assert outcome.message == "it divides by the norm, as the paper does"
    assert not failed(expecting, "with_reason")


def test_a_declared_failure_that_passes_must_be_deleted(expecting):
    found = failed(expecting, "too_modest")

    assert found.keys() == {"quadratic"}
    assert "too slow" in found["quadratic"]
    assert "delete 'quadratic' from expected_failures" in found["quadratic"]


def test_a_declaration_that_names_no_check_fails_with_the_nearest_name(expecting):
    found = failed(expecting, "misspelt")

    assert found.keys() == {"zero_gradients"}
    assert "did you mean 'zero_gradient'?" in found["zero_gradients"]


def test_a_declaration_of_a_check_that_has_nothing_to_ask_fails(expecting):
    found = failed(expecting, "without_twin")

    assert found.keys() == {"twin"}
    assert "nothing to ask of it" in found["twin"]


def test_only_the_named_checks_are_put(wrong):
    assert outcomes(wrong, "climbs", ["quadratic", "finite"]).keys() == {"quadratic"}


def test_a_check_that_is_none_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"no check 'quadratics'; did you mean 'quadratic'\?"):
        outcomes(wrong, "climbs", ["quadratics"])


def test_an_outcome_is_that_of_a_component_and_a_check(wrong):
    outcome = outcomes(wrong, "climbs", ["source"])["source"]

    assert (outcome.component, outcome.check) == ("wrong.climbs", "source")
    assert (outcome.status, outcome.message) == ("passed", "")


def test_a_check_raises_an_assertion_error(wrong):
    component = component_named(wrong, "climbs")
    (check,) = [check for check in checks_of(component) if check.name == "quadratic"]

    with pytest.raises(CheckFailed, match="look at the sign"):
        check.run(component, wrong.catalog)

    assert issubclass(CheckFailed, AssertionError)


def test_a_component_that_no_plugin_offers_can_be_checked():
    """For a test beside the code, before there is a plugin."""

    def init(tensor, generator, *, deviation):
        tensor.normal_(0.0, deviation, generator=generator)

    spec = InitializerSpec(
        name="normal",
        paper="Gauss 1809",
        init=init,
        variance=lambda shape, *, deviation: deviation**2,
        params={"deviation": Float(0.01, 1.0, log=True)},
    )
    component = Component(spec, "mine", "mine", "0", "json")

    found = run_checks(component, Catalog([]))

    assert {outcome.status for outcome in found} == {"passed"}
    assert [outcome.check for outcome in found] == [c.name for c in checks_of(component)]


def test_importing_the_kit_imports_no_heavy_library():
    program = (
        "import sys, automl_opt.testing, automl_opt.testing.pytest_plugin\n"
        "print(*{'torch', 'optuna', 'numpy', 'sklearn', 'sqlalchemy'} & set(sys.modules))"
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def test_importing_the_kit_alone_does_not_import_pytest():
    program = "import sys, automl_opt.testing\nprint('pytest' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert run.stdout.strip() == "False", run.stderr
