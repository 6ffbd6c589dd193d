from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from automl_opt.api import (
    Float,
    InitializerSpec,
    Int,
    OneOf,
    OptimizerSpec,
    PrunerSpec,
    RegularizerSpec,
    Rule,
    SchedulerSpec,
    StrategySpec,
)
from automl_opt.api.component import is_code
from automl_opt.core.errors import PluginError

LR = {"lr": Float(1e-3, 1.0, log=True)}


def code(*args, **params):
    """Stands for any function a plugin author writes."""


RULE = Rule(code, code)


@pytest.mark.parametrize(
    "spec",
    [
        OptimizerSpec(name="lion", rule=RULE, params=LR),
        OptimizerSpec(name="lion", rule=Rule("pkg.mod:init", "pkg.mod:update", code), params=LR),
        OptimizerSpec(name="lbfgs", torch="torch.optim:LBFGS", closure=True),
        OptimizerSpec(name="sam", wrap="pkg.mod:Sam", closure=True),
        SchedulerSpec(name="cosine", factor=code),
        SchedulerSpec(name="warmup", wrap=code),
        SchedulerSpec(name="plateau", observe="pkg.mod:observe"),
        RegularizerSpec(name="l1", loss=code, params={"strength": Float(0, 1)}),
        InitializerSpec(name="default"),
        InitializerSpec(name="orthogonal", init=code),
        StrategySpec(name="tpe2", sampler="pkg.mod:sampler"),
        PrunerSpec(name="none", pruner=code, params={"on": OneOf((True, False))}),
    ],
    ids=lambda spec: f"{spec.kind}-{spec.name}",
)
def test_a_spec_that_keeps_the_contract_is_a_frozen_value_of_version_1(spec):
    assert spec.version == 1
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"
    with pytest.raises(TypeError):
        spec.params["lr"] = Float(0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        # every kind
        (lambda: InitializerSpec(name="He"), "initializer 'He': a name is lower-case letters"),
        (lambda: InitializerSpec(name="acme.he"), "a name is lower-case letters, digits and '_'"),
        (lambda: InitializerSpec(name=""), "a name is lower-case letters, digits and '_'"),
        (lambda: InitializerSpec(name=None), "initializer None: a name is lower-case letters"),
        (lambda: InitializerSpec(name="he", version=0), "version must be a whole number from 1"),
        (lambda: InitializerSpec(name="he", version="2"), "version must be a whole number from 1"),
        (lambda: InitializerSpec(name="he", version=True), "version must be a whole number"),
        (
            lambda: InitializerSpec(name="he", params={"gain": (0, 1)}),
            r"params\['gain'\] must be a Float, Int or OneOf, not \(0, 1\)",
        ),
        (
            lambda: InitializerSpec(name="he", params={"the gain": Float(0, 1)}),
            "'the gain' is no parameter name",
        ),
        (
            lambda: InitializerSpec(name="he", params={"gain": Float(0, 1, when=("on", True))}),
            r"params\['gain'\] hangs from 'on', which is not among the parameters before it",
        ),
        (
            lambda: InitializerSpec(
                name="he",
                params={"gain": Float(0, 1, when=("on", True)), "on": OneOf((True, False))},
            ),
            "hangs from 'on', which is not among the parameters before it",
        ),
        (
            lambda: InitializerSpec(
                name="he",
                params={
                    "mode": OneOf(("in", "out")),
                    "gain": Float(0, 1, when=("mode", ("in", "uot"))),
                },
            ),
            "hangs from 'mode' being 'uot', which it never is",
        ),
        # optimizers
        (
            lambda: OptimizerSpec(name="lion", params=LR),
            r"optimizer lion: give one of rule=Rule\(…\)",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=RULE, torch="torch.optim:SGD", params=LR),
            "give one of rule=Rule",
        ),
        (lambda: OptimizerSpec(name="lion", rule=code, params=LR), "rule must be a Rule, not"),
        (
            lambda: OptimizerSpec(name="lion", rule=Rule(None, code), params=LR),
            "rule.init must be a function or 'module:name'",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=Rule(code, "update"), params=LR),
            "rule.update must be a function or 'module:name'",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=Rule(code, code, {"lr": 1}), params=LR),
            "rule.coefficients must be a function, 'module:name' or None",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=RULE, params=LR, closure=True),
            "closure=True goes with torch= or wrap=, not with a rule",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=RULE, params={"rate": Int(1, 2)}),
            "a rule needs the parameter 'lr'",
        ),
        (lambda: OptimizerSpec(name="sgd", torch="torch.optim.SGD"), "is not 'module:Class'"),
        (lambda: OptimizerSpec(name="sam", wrap=1), "wrap must be a function or 'module:name'"),
        (
            lambda: OptimizerSpec(name="sam", wrap=code, full_batch=True),
            "decay and full_batch are those of the optimizer it wraps",
        ),
        (
            lambda: OptimizerSpec(name="lion", rule=RULE, params=LR, decay="weight_decay"),
            "decay names 'weight_decay', which is no parameter of it",
        ),
        (
            lambda: OptimizerSpec(name="x", torch="a:B", closure=True, create_graph=True),
            "give one of closure and create_graph",
        ),
        # relations and expected failures
        (
            lambda: OptimizerSpec(
                name="lion", rule=RULE, params=LR, generalises={"sgd": {"momentum": 0.0}}
            ),
            r"generalises\['sgd'\] sets 'momentum', which is no parameter of it",
        ),
        (
            lambda: InitializerSpec(name="he", expected_failures={"variance": " "}),
            r"expected_failures\['variance'\] must give the reason",
        ),
        # the others
        (lambda: SchedulerSpec(name="cosine"), "scheduler cosine: give one of factor=…, observe=…"),
        (lambda: SchedulerSpec(name="cosine", factor=code, observe=code), "give one of factor=…"),
        (lambda: SchedulerSpec(name="cosine", factor="cosine"), "needs a function or"),
        (lambda: RegularizerSpec(name="l1"), "at least one of model, batch, mix, attack, loss"),
        (lambda: RegularizerSpec(name="l1", loss=1), "loss must be a function or 'module:name'"),
        (
            lambda: RegularizerSpec(name="l1", loss=code, identity={"strength": 0.0}),
            "identity sets 'strength', which is no parameter of it",
        ),
        (lambda: InitializerSpec(name="he", init=1), "init must be a function or None"),
        (lambda: InitializerSpec(name="lsuv", fit=1), "fit must be a function or None"),
        (lambda: InitializerSpec(name="he", variance=code), "variance is that of init"),
        (lambda: StrategySpec(name="tpe", sampler=None), "sampler must be a function"),
        (lambda: PrunerSpec(name="none", pruner="none"), "pruner must be a function"),
    ],
)
def test_a_spec_that_breaks_the_contract_is_refused_by_kind_and_name(make, message):
    with pytest.raises(PluginError, match=message):
        make()


def test_a_regularizer_names_the_hooks_it_has_and_no_others():
    spec = RegularizerSpec(name="both", loss=code, stop="pkg.mod:stop")

    assert spec.hooks() == {"loss": code, "stop": "pkg.mod:stop"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (code, True),
        (Rule, True),
        ("pkg.mod:name", True),
        ("pkg:Class.method", True),
        ("pkg.mod", False),
        ("pkg:", False),
        (":name", False),
        ("pkg mod:name", False),
        (None, False),
        (1, False),
    ],
)
def test_code_is_a_callable_or_a_dotted_path(value, expected):
    assert is_code(value) is expected
