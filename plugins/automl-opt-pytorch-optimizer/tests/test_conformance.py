"""The conformance kit over every optimizer of the table."""

from __future__ import annotations

from automl_opt.testing import conformance

test_conformance = conformance("pytorch_optimizer")
