"""The table against the library: nothing is left out in silence, and every argument exists."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import itertools
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import pytorch_optimizer
import torch
from automl_opt_pytorch_optimizer import construct
from automl_opt_pytorch_optimizer.table import SPECS, UNUSABLE
from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector

LEARNED = "finite and lower after 50 steps"

HOME = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
README = (HOME / "README.md").read_text()

of_every_optimizer = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def construction(spec):
    module, path = spec.torch.split(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def library_class(spec):
    return getattr(pytorch_optimizer, spec.torch.rpartition(".")[2])


def defaults(spec):
    return {name: param.default for name, param in spec.params.items()}


class Problem:
    """A small network with matrices, vectors and a scale, that tells four classes apart."""

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(128, 8, generator=generator)
        self.y = (self.x @ torch.randn(8, 4, generator=generator)).argmax(1)
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.Tanh(), torch.nn.Linear(16, 4)
        )
        self.parameters = list(self.model.parameters())

    def loss(self):
        return torch.nn.functional.cross_entropy(self.model(self.x), self.y)

    def train(self, optimizer, spec, steps):
        if hasattr(optimizer, "train"):
            optimizer.train()

        def closure():
            optimizer.zero_grad()
            loss = self.loss()
            grads = torch.autograd.grad(loss, self.parameters, create_graph=spec.create_graph)
            for parameter, grad in zip(self.parameters, grads, strict=True):
                parameter.grad = grad
            return loss.detach()

        for _ in range(steps):
            if spec.closure:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()
        if hasattr(optimizer, "eval"):
            optimizer.eval()


def test_every_optimizer_of_the_library_is_offered_or_left_out_with_a_reason():
    offered, left_out = {spec.name for spec in SPECS}, set(UNUSABLE)

    assert offered | left_out == set(pytorch_optimizer.get_supported_optimizers())
    assert not offered & left_out
    assert all(len(reason) > 10 for reason in UNUSABLE.values())


def test_at_least_110_optimizers_are_offered():
    assert len({spec.name for spec in SPECS}) >= 110


def test_the_readme_counts_them_and_gives_every_reason():
    everyone = pytorch_optimizer.get_supported_optimizers()
    declared = sum(len(spec.expected_failures) for spec in SPECS)

    assert f"{len(SPECS)} of the {len(everyone)} optimizers" in README
    assert f"{len(SPECS)} of {len(SPECS)}" in README
    assert f"the {declared} checks that some cannot pass" in README
    for name, reason in UNUSABLE.items():
        assert any(f"`{name}`" in line and reason in line for line in README.splitlines()), name


def test_the_library_is_the_version_that_the_table_was_reviewed_for():
    assert importlib.metadata.version("pytorch_optimizer").startswith("4.1.")


@of_every_optimizer
def test_every_parameter_is_an_argument_that_the_class_names(spec):
    signature = inspect.signature(library_class(spec)).parameters
    named = {n for n, p in signature.items() if p.kind is not p.VAR_KEYWORD}
    for name, parameter in signature.items():
        if isinstance(parameter.default, tuple):  # betas=(0.9, 0.999) has beta1 and beta2
            stem = name.removesuffix("s")
            named |= {f"{stem}{place}" for place in range(1, len(parameter.default) + 1)}
    if spec.torch.endswith(f"low_rank.{library_class(spec).__name__}"):
        named |= set(inspect.signature(GaLoreProjector).parameters)  # options of its groups

    assert set(spec.params) <= named


@of_every_optimizer
def test_a_misspelt_argument_is_refused_by_name(spec):
    with pytest.raises(TypeError, match=r"no argument 'weight_dekay'"):
        construction(spec)(Problem().parameters, **defaults(spec), weight_dekay=0.1)


def test_a_misspelt_argument_is_answered_with_the_right_one():
    with pytest.raises(TypeError, match="did you mean weight_decay"):
        construct.plain.AdaBelief(Problem().parameters, weight_dekay=0.1)


@of_every_optimizer
def test_it_learns_in_fifty_steps_at_its_default(spec, record_property):
    problem = Problem()
    torch.manual_seed(3)
    before = problem.loss().item()

    problem.train(construction(spec)(problem.parameters, **defaults(spec)), spec, 50)

    after = problem.loss().item()
    learned = after < before  # false for nan as well
    record_property(LEARNED, learned)
    assert learned, f"{before} -> {after}"


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if "state_dict" in s.expected_failures], ids=lambda spec: spec.name
)
def test_what_the_kit_cannot_compare_resumes_from_a_file_to_the_bit(spec, tmp_path):
    problem = Problem()
    optimizer = construction(spec)(problem.parameters, **defaults(spec))
    problem.train(optimizer, spec, 25)
    torch.save([optimizer.state_dict(), problem.model.state_dict()], tmp_path / "checkpoint")
    torch.manual_seed(6)
    problem.train(optimizer, spec, 25)

    resumed = Problem()
    optimizer = construction(spec)(resumed.parameters, **defaults(spec))
    state, weights = torch.load(tmp_path / "checkpoint", weights_only=True)
    optimizer.load_state_dict(state)
    resumed.model.load_state_dict(weights)
    torch.manual_seed(6)
    resumed.train(optimizer, spec, 25)

    assert all(map(torch.equal, resumed.parameters, problem.parameters))


def test_a_schedule_multiplies_the_step_size_that_an_optimizer_finds_itself():
    """ASGD writes its own into the group; an engine writes the scheduled one there every step."""

    def moves(factors):
        weight = torch.ones(1, requires_grad=True)
        optimizer = construct.self_paced.ASGD([weight], lr=0.1, amplifier=0.2)
        path = [1.0]
        for factor in factors:
            optimizer.param_groups[0]["lr"] = 0.1 * factor
            weight.grad = torch.ones(1)
            optimizer.step()
            path.append(weight.item())
        return [before - after for before, after in itertools.pairwise(path)]

    steady, halved, stopped = moves([1, 1, 1]), moves([1, 0.5, 0.5]), moves([1, 0, 1])

    assert steady[2] > steady[1] > steady[0]
    assert halved[1] == pytest.approx(steady[1] / 2)
    assert stopped[1] == 0
    assert stopped[2] == pytest.approx(steady[1])


def test_listing_the_plugin_imports_neither_torch_nor_the_library():
    code = (
        "import json, sys, automl_opt_pytorch_optimizer as plugin;"
        "list(plugin.automl_opt_optimizers());"
        "heavy = ('torch', 'pytorch_optimizer', 'numpy');"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == []


def test_the_installed_plugin_is_listed_with_all_its_optimizers():
    plugin = next(iter(PROJECT["entry-points"]["automl_opt"]))
    done = subprocess.run(
        [sys.executable, "-m", "automl_opt", "plugins", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "AUTOML_OPT_PLUGINS": plugin},
    )

    listed = json.loads(done.stdout)
    [ours] = [entry for entry in listed["plugins"] if entry["name"] == plugin]
    ids = {component["id"] for component in listed["components"]}
    assert (ours["status"], ours["components"]) == ("loaded", len(SPECS))
    assert {f"{plugin}.{spec.name}" for spec in SPECS} <= ids
