"""Adam-atan2 by the conformance kit, against its formula in NumPy, and the length of its code."""

from __future__ import annotations

import ast
import tokenize
from pathlib import Path

import automl_opt_adam_atan2 as plugin
import numpy
import pytest
import torch

from automl_opt.testing import conformance

SOURCE = Path(plugin.__file__)

test_conformance = conformance("adam_atan2")


def reference(weights, grads, *, lr, beta1, beta2, weight_decay):
    """The paper's formula with both moments corrected, one step after another."""
    mean, square = numpy.zeros_like(weights), numpy.zeros_like(weights)
    for t, grad in enumerate(grads, start=1):
        mean = beta1 * mean + (1 - beta1) * grad
        square = beta2 * square + (1 - beta2) * grad**2
        corrected = mean / (1 - beta1**t), square / (1 - beta2**t)
        direction = numpy.arctan2(corrected[0], numpy.sqrt(corrected[1])) * 4 / numpy.pi
        weights = weights - lr * direction - lr * weight_decay * weights
    return weights


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e6])
def test_fifty_steps_end_where_the_formula_ends_in_numpy(scale):
    params = {"lr": 3e-3, "beta1": 0.87, "beta2": 0.995, "weight_decay": 0.1}
    random = numpy.random.default_rng(0)
    start, grads = random.normal(size=(4, 3)), scale * random.normal(size=(50, 4, 3))

    param = torch.from_numpy(start)
    state = plugin.init(param)
    for t, grad in enumerate(grads, start=1):
        numbers = plugin.coefficients(t, **params)
        param, state = plugin.update(param, torch.from_numpy(grad), state, **numbers)

    expected = reference(start, grads, **params)
    assert numpy.abs(param.numpy() - expected).max() <= 1e-12


def test_a_steady_gradient_makes_steps_of_one_learning_rate():
    param, grad = torch.zeros(3, dtype=torch.float64), torch.full((3,), 0.01, dtype=torch.float64)
    params = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0}

    after, _ = plugin.update(param, grad, plugin.init(param), **plugin.coefficients(1, **params))

    assert after.tolist() == pytest.approx([-1e-2] * 3)


def test_the_whole_plugin_is_at_most_25_lines_of_code():
    """Lines with a token on them that is neither comment nor docstring."""
    tree = ast.parse(SOURCE.read_text())
    docstrings = {
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
        if ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    no_code = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    no_code |= {tokenize.ENCODING, tokenize.ENDMARKER}
    with SOURCE.open("rb") as file:
        lines = {
            line
            for token in tokenize.tokenize(file.readline)
            if token.type not in no_code
            for line in range(token.start[0], token.end[0] + 1)
        }

    assert len(lines - docstrings) <= 25
