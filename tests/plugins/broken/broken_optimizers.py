"""Needs a library that nobody has."""

import apex

from automl_opt.api import hookimpl


@hookimpl
def automl_opt_optimizers():
    return apex.optimizers()
