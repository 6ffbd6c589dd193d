"""Errors of a component's code, told so that they name the component and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from automl_opt.core.errors import AutomlOptError, ComponentError
from automl_opt.plugin.catalog import Component
from automl_opt.training.task import is_out_of_memory, where


@dataclass(frozen=True)
class Owner:
    """Whose code runs; plain text, so that what holds it can be copied and pickled.

    Args:
        kind: of the component.
        described: its kind, id, version and distribution.
        plugin: the name of its plugin.
    """

    kind: str = "optimizer"
    described: str = "a rule"
    plugin: str = "PLUGIN"

    @classmethod
    def of(cls, component: Component) -> Owner:
        return cls(component.kind, component.described, component.plugin)

    def wrong(self, what: str) -> ComponentError:
        """The error about *what* it did, for example ``update gave …``."""
        return ComponentError(
            f"{self.described}: {what}; see 'automl-opt plugins check {self.plugin}', or leave it "
            "out of the study",
            self.kind,
        )

    def raised(self, doing: str, error: Exception) -> Exception:
        """What to raise from an *error* that its function *doing* raised.

        Errors that say by themselves what to do, and memory that ran out, stay what they are.
        """
        if isinstance(error, AutomlOptError) or is_out_of_memory(error):
            return error
        return self.wrong(f"{doing} raised {where(error)}")


def guarded(
    component: Component, doing: str, code: Any, params: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """The function behind *code*, *params* filled in; what it raises names the component."""
    function = component.code(code)
    if params:
        function = partial(function, **params)
    owner = Owner.of(component)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # a plugin's own code
            told = owner.raised(doing, error)
            if told is error:
                raise
            raise told from error

    return call


def form(tensor: Any) -> str:
    """Shape and dtype, for messages."""
    if not isinstance(tensor, Tensor):
        return f"a {type(tensor).__name__}"
    return f"shape {list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
