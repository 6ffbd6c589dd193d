"""The base passes Optuna's public suites; the conformance kit runs them on every strategy."""

from __future__ import annotations

import warnings
from functools import partial

import optuna
import pytest
from optuna.testing import pytest_samplers as suites

from .strategies import BASES, make, named


class Quiet:
    """The suites go through an experimental sampler."""

    @pytest.fixture(autouse=True)
    def _quiet(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield

    @pytest.fixture(params=BASES, ids=named)
    def sampler(self, request):
        return partial(make, request.param, space=None, seed=0)


class TestBasic(Quiet, suites.BasicSamplerTestCase):
    pass


class TestRelative(Quiet, suites.RelativeSamplerTestCase):
    pass


class TestObjectives(Quiet):
    def test_several_objectives_are_proposed_for_or_refused_with_a_reason(self, sampler):
        if sampler().multi_objective:
            suite = suites.MultiObjectiveSamplerTestCase()
            suite.test_multi_objective_sample_independent(
                sampler, optuna.distributions.FloatDistribution(0.0, 1.0)
            )
        else:
            suites.SingleOnlySamplerTestCase().test_raise_error_for_samplers_during_multi_objectives(
                sampler
            )
