"""What a plugin author imports: the specs, the ranges, the hooks and their marker.

Importing this package imports neither torch nor Optuna, and a plugin should not either: tensors
arrive with their methods, and what needs more is imported inside the function that uses it.
"""

from automl_opt.api.component import ComponentSpec
from automl_opt.api.hookspecs import API_VERSION, PROJECT, hookimpl
from automl_opt.api.initializer import InitializerSpec
from automl_opt.api.optimizer import OptimizerSpec, Rule
from automl_opt.api.pruner import PrunerSpec
from automl_opt.api.regularizer import RegularizerSpec
from automl_opt.api.scheduler import SchedulerSpec
from automl_opt.api.strategy import StrategySpec
from automl_opt.core.params import Float, Int, OneOf, Prior
from automl_opt.core.space import SearchSpace

__all__ = [
    "API_VERSION",
    "PROJECT",
    "ComponentSpec",
    "Float",
    "InitializerSpec",
    "Int",
    "OneOf",
    "OptimizerSpec",
    "Prior",
    "PrunerSpec",
    "RegularizerSpec",
    "Rule",
    "SchedulerSpec",
    "SearchSpace",
    "StrategySpec",
    "hookimpl",
]
