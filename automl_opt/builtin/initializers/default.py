"""What the model's own layers chose. No formula of ours: in torch mostly He's with a = sqrt(5)."""

from __future__ import annotations

from automl_opt.api import InitializerSpec

spec = InitializerSpec(
    name="default",
    summary="what the model's own layers chose",
    paper="none: the layers' own reset_parameters",
    init=None,
)
