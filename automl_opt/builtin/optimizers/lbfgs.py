"""L-BFGS: Newton's direction from the last few changes of the gradient, with a line search.

Liu & Nocedal 1989, doi:10.1007/BF01589116; Nocedal & Wright 2006, Algorithms 7.5 and 3.5 (strong
Wolfe), by ``torch.optim.LBFGS``. One step is up to *max_iter* iterations on the whole training
set, and the history outlives it. The learning rate is the length that a line search tries first,
so a schedule of it changes little. Without the line search, or on mini-batches, it diverges easily.
"""

from __future__ import annotations

from automl_opt.api import Int, OneOf, OptimizerSpec

spec = OptimizerSpec(
    name="lbfgs",
    summary="a quasi-Newton method with a line search, on the whole training set",
    paper="Liu & Nocedal 1989, doi:10.1007/BF01589116",
    torch="torch.optim:LBFGS",
    closure=True,
    full_batch=True,
    params={
        "lr": OneOf((1.0,)),
        "history_size": Int(5, 20, default=10),
        "max_iter": Int(4, 20, log=True, default=10),
        "tolerance_grad": OneOf((1e-7,)),
        "tolerance_change": OneOf((1e-9,)),
        "line_search_fn": OneOf(("strong_wolfe",)),
    },
    expected_failures={
        "groups": "torch's LBFGS refuses more than one parameter group",
    },
)
