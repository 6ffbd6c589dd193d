"""Sobol: points that fill the space evenly, whatever the others found.

Sobol 1967 in the scrambling of Owen 1998; see
:class:`~automl_opt.builtin.strategies.samplers.sobol.Sobol`.
"""

from __future__ import annotations

from automl_opt.api import StrategySpec

spec = StrategySpec(
    name="sobol",
    summary="fills the space evenly with a scrambled low-discrepancy sequence",
    paper="Sobol 1967; Owen 1998, doi:10.1006/jcom.1998.0487",
    sampler="automl_opt.builtin.strategies.samplers.sobol:Sobol",
)
