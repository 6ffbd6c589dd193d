"""The reviewed table: every optimizer of pytorch_optimizer 4.1.0, offered with ranges or left out.

Names are the library's own, in lower case. A family gives the ranges that its members share; a row
says what is its own. Learning rates come from a sweep of ten values from 1e-4 to 10 (60 steps of
batches of 64, digits, one hidden layer of 24, one seed): a range reaches from where the loss begins
to fall to where it no longer does, and its default lies below the best. Weight decay begins at 1e-2
where it shrinks the weights and at 1e-4 where it joins the gradient, momentum at 0.9; the other
defaults are the library's unless nothing of them would show in a short study. A choice of one value
is an argument that we fix. ``beta1``, ``beta2``, … are the entries of its ``betas``, ``nu1`` and
``nu2`` those of ``nus``. This module is data: it imports neither torch nor the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from automl_opt.api import Float, Int, OneOf, OptimizerSpec

Param = Float | Int | OneOf
Params = Mapping[str, Param]

OBJECTS: Final = {
    "state_dict": "its state holds objects without equality; a test here resumes it from a file"
}
ONE_RATE: Final = {"groups": "one learning rate for all groups, that of the first"}
OVERFLOWS: Final = {"huge_gradient": "divides by a norm, which overflows to infinity"}


def log(low: float, default: float, high: float) -> Float:
    return Float(low, high, log=True, default=default)


BETA1: Final = Float(0.8, 0.99, default=0.9)
BETA2: Final = Float(0.9, 0.9999, default=0.999)
MOMENTUM: Final = Float(0.0, 0.99, default=0.9)
DECOUPLED: Final = {"weight_decay": log(1e-6, 1e-2, 0.3)}
COUPLED: Final = {"weight_decay": log(1e-6, 1e-4, 1e-2)}
"""Weight decay that shrinks the weights, and weight decay that is added to the gradient."""

ADAM: Final = {"lr": log(1e-4, 1e-3, 3e-2), "beta1": BETA1, "beta2": BETA2}
SGD: Final = {"lr": log(1e-3, 0.1, 1.0), "momentum": MOMENTUM}
SIGN: Final = {
    "lr": log(3e-5, 1e-3, 1e-2),
    "beta1": BETA1,
    "beta2": Float(0.9, 0.999, default=0.99),
}
FREE: Final = {"lr": log(0.1, 1.0, 3.0)}
"""Finds its own step size: the learning rate multiplies that, and carries the schedule."""

LAYERWISE: Final = {"lr": log(1e-3, 1e-2, 0.1)}
FACTORED: Final = {"lr": log(1e-3, 1e-2, 0.1), "beta1": BETA1, "beta2": BETA2}
CURVED: Final = {"lr": log(1e-2, 0.1, 1.0), "beta1": BETA1, "beta2": BETA2}
MATRIX: Final = {"lr": log(1e-4, 3e-3, 3e-2), "beta1": BETA1, "beta2": BETA2}
ORTHOGONAL: Final = {
    "lr": log(3e-3, 2e-2, 0.1),
    "momentum": Float(0.8, 0.99, default=0.95),
    "adamw_lr": log(1e-4, 3e-3, 3e-2),
}
"""Matrices are orthogonalised; vectors go by AdamW at ``adamw_lr``."""

LOW_RANK: Final = {
    **ADAM,
    "rank": Int(2, 64, log=True, default=8),
    "update_proj_gap": Int(10, 500, log=True, default=200),
    "scale": log(0.1, 1.0, 4.0),
    "projection_type": OneOf(("std",)),
}
"""Matrices keep their state in a subspace of *rank* dimensions, found anew now and then."""

AVERAGED: Final = {"lr": log(1e-3, 1e-2, 0.1), "beta1": BETA1, "beta2": BETA2}
"""Trains without a schedule: what is evaluated is an average of the weights."""


def row(
    cls: str,
    family: Params,
    paper: str,
    summary: str,
    *,
    built: str = "plain",
    decay: Params | None = None,
    params: Params | None = None,
    without: tuple[str, ...] = (),
    groups: bool = True,
    closure: bool = False,
    create_graph: bool = False,
    fails: Mapping[str, str] | None = None,
) -> OptimizerSpec:
    """One optimizer.

    Args:
        built: the function of :mod:`automl_opt_pytorch_optimizer.construct` that makes it.
        without: parameters of the family that it does not have.
        groups: whether parameters may come in groups that decay differently; one that draws
            something from a whole group must see all tensors in one.
    """
    own = {**family, **(decay or {}), **(params or {})}
    return OptimizerSpec(
        name=cls.lower(),
        summary=summary,
        paper=paper,
        torch=f"automl_opt_pytorch_optimizer.construct:{built}.{cls}",
        params={name: param for name, param in own.items() if name not in without},
        decay="weight_decay" if decay and groups else None,
        closure=closure,
        create_graph=create_graph,
        expected_failures=fails or {},
    )


def lr(low: float, default: float, high: float) -> Params:
    return {"lr": log(low, default, high)}


ADAPTIVE: Final = (
    row(
        "AdaBelief",
        ADAM,
        "Zhuang et al. 2020, arXiv:2010.07468",
        "Adam whose second moment is of the gradient's surprise",
        decay=DECOUPLED,
    ),
    row(
        "AdaBound",
        ADAM,
        "Luo et al. 2019, openreview.net/forum?id=Bkg3g2R9FX",
        "Adam with bounds that close towards SGD",
        decay=DECOUPLED,
        params={"final_lr": log(1e-2, 0.1, 1.0), "gamma": log(1e-4, 1e-3, 1e-2)},
    ),
    row(
        "AdaDelta",
        {},
        "Zeiler 2012, arXiv:1212.5701",
        "steps as large as the last ones were",
        decay=COUPLED,
        params={**lr(0.1, 1.0, 10.0), "rho": Float(0.8, 0.99, default=0.9)},
    ),
    row(
        "AdaGC",
        ADAM,
        "arXiv:2502.11034",
        "AdamW with a clip to each tensor's average norm",
        decay=DECOUPLED,
        params={
            "beta": Float(0.9, 0.999, default=0.98),
            "lambda_rel": log(1.01, 1.05, 2.0),
            "warmup_steps": Int(5, 200, log=True, default=100),
        },
        fails=OVERFLOWS,
    ),
    row(
        "Adai",
        {},
        "Xie et al. 2020, arXiv:2006.15815",
        "adapts the momentum instead of the step",
        decay=COUPLED,
        params={
            **lr(1e-2, 0.3, 1.0),
            "beta1": Float(0.01, 0.5, default=0.1),
            "beta2": Float(0.9, 0.999, default=0.99),
        },
        groups=False,  # its moments are averaged over the whole group
        fails={"dtypes": "1 - eps rounds to 1 in bfloat16, and its bias correction to 0"},
    ),
    row(
        "AdaMax",
        ADAM,
        "Kingma & Ba 2014, arXiv:1412.6980, section 7",
        "Adam by the largest gradient instead of the mean square",
        decay=COUPLED,
        params=lr(1e-3, 2e-3, 0.3),
    ),
    row(
        "AdamC",
        ADAM,
        "Defazio 2025, arXiv:2506.02285",
        "AdamW whose decay follows the square of the schedule",
        decay=DECOUPLED,
    ),
    row(
        "AdaMod",
        {"lr": log(1e-3, 1e-2, 3.0), "beta1": BETA1, "beta2": Float(0.9, 0.999, default=0.99)},
        "arXiv:1910.12249",
        "Adam with a memory of its step sizes as their bound",
        decay=DECOUPLED,
        params={"beta3": Float(0.99, 0.9999, default=0.9999)},
    ),
    row(
        "AdamP",
        ADAM,
        "Heo et al. 2020, arXiv:2006.08217",
        "Adam without the part that only grows scale-invariant weights",
        decay=DECOUPLED,
        params={"delta": log(1e-2, 0.1, 1.0)},
    ),
    row(
        "AdamS",
        ADAM,
        "Xie et al. 2020, arXiv:2011.11152",
        "Adam with a weight decay that the mean step size tempers",
        decay=DECOUPLED,
        groups=False,
    ),
    row(
        "AdamWSN",
        ADAM,
        "arXiv:2411.07120",
        "AdamW whose second moment is of subsets of each tensor",
        decay=DECOUPLED,
    ),
    row(
        "Adan",
        {"lr": log(1e-4, 1e-3, 0.1)},
        "Xie et al. 2022, arXiv:2208.06677",
        "Nesterov's momentum in three moments",
        decay=DECOUPLED,
        params={
            "beta1": Float(0.9, 0.99, default=0.98),
            "beta2": Float(0.8, 0.99, default=0.92),
            "beta3": Float(0.9, 0.999, default=0.99),
        },
    ),
    row(
        "AdaNorm",
        ADAM,
        "arXiv:2210.06364",
        "Adam that lifts gradients to their average norm",
        decay=DECOUPLED,
        params={"beta2": Float(0.9, 0.999, default=0.99), "r": Float(0.8, 0.99, default=0.95)},
    ),
    row(
        "AdaPNM",
        ADAM,
        "Xie et al. 2021, arXiv:2103.17182",
        "Adam with positive and negative momentum",
        decay=DECOUPLED,
        params={"beta3": Float(0.5, 1.0, default=1.0)},
    ),
    row(
        "AdaShift",
        ADAM,
        "Zhou et al. 2018, arXiv:1810.00143",
        "Adam whose second moment is of older gradients",
        built="listed",
        params={**lr(3e-4, 3e-3, 0.3), "keep_num": Int(2, 20, default=10)},
        fails={"groups": "moves from its eleventh step on"},
    ),
    row(
        "AdaSmooth",
        {},
        "arXiv:2204.00825",
        "RMSprop with a memory that follows the path's straightness",
        decay=COUPLED,
        params={
            **lr(1e-4, 1e-3, 3e-2),
            "beta1": Float(0.3, 0.8, default=0.5),
            "beta2": Float(0.9, 0.999, default=0.99),
        },
    ),
    row(
        "AdaTAM",
        ADAM,
        "arXiv:2412.18790",
        "Adam whose momentum weighs gradients by their agreement",
        decay=DECOUPLED,
        params={**lr(1e-5, 3e-4, 3e-3), "decay_rate": Float(0.8, 0.99, default=0.9)},
    ),
    row(
        "AdEMAMix",
        ADAM,
        "Pagliardini et al. 2024, arXiv:2409.03137",
        "Adam with a second, slow momentum",
        decay=COUPLED,
        params={"beta3": log(0.99, 0.9999, 0.99999), "alpha": Float(1.0, 10.0, default=5.0)},
    ),
    row(
        "ADOPT",
        ADAM,
        "Taniguchi et al. 2024, arXiv:2411.02853",
        "Adam that divides by the second moment before this gradient",
        decay=COUPLED,
        params={"beta2": Float(0.9, 0.9999, default=0.9999)},
    ),
    row(
        "Aida",
        ADAM,
        "Zhang et al. 2022, arXiv:2203.13273",
        "AdaBelief with its moments projected on each other",
        decay=COUPLED,
        params={**lr(3e-5, 1e-3, 3e-2), "k": Int(1, 3, default=2)},
    ),
    row(
        "Amos",
        {},
        "Tian & Parikh 2022, arXiv:2210.11693",
        "Adam with a decay towards each tensor's expected scale",
        params={
            **lr(1e-3, 1e-2, 0.3),
            "beta": Float(0.9, 0.9999, default=0.999),
            "momentum": MOMENTUM,
        },
    ),
    row(
        "AvaGrad",
        {"lr": log(1e-2, 0.3, 3.0), "beta1": BETA1, "beta2": BETA2},
        "Savarese et al. 2019, arXiv:1912.01823",
        "Adam whose rates are divided by their own norm",
        decay=DECOUPLED,
        params={"eps": log(1e-3, 0.1, 1.0)},
        groups=False,  # one norm for the whole group
    ),
    row(
        "BCOS",
        {},
        "arXiv:2507.08963",
        "the step size that is optimal for each coordinate",
        decay=DECOUPLED,
        params={**lr(1e-4, 1e-3, 3e-2), "beta": Float(0.8, 0.99, default=0.9)},
    ),
    row(
        "DiffGrad",
        ADAM,
        "Dubey et al. 2019, arXiv:1909.11015",
        "Adam that slows where the gradient changes little",
        decay=DECOUPLED,
        params=lr(3e-4, 3e-3, 0.1),
    ),
    row(
        "DualAdam",
        ADAM,
        "arXiv:2603.07122",
        "goes over from inverse Adam to Adam",
        decay=COUPLED,
        params={**lr(1e-3, 3e-3, 0.3), "switch_rate": log(1e-3, 1e-2, 0.1)},
    ),
    row(
        "EXAdam",
        ADAM,
        "arXiv:2412.20302",
        "Adam with moments that correct each other",
        decay=DECOUPLED,
        params=lr(3e-5, 1e-3, 1e-2),
    ),
    row(
        "FAdam",
        ADAM,
        "Hwang 2024, arXiv:2405.12807",
        "Adam as a natural gradient by the diagonal Fisher matrix",
        decay=DECOUPLED,
        params={"clip": log(0.1, 1.0, 10.0), "p": Float(0.25, 0.75, default=0.5)},
        fails={"dtypes": "keeps its moments in float32, which do not mix with float64"},
    ),
    row(
        "FlashAdamW",
        ADAM,
        "arXiv:2602.23349",
        "AdamW with its state in 8 bits",
        decay=DECOUPLED,
    ),
    row(
        "Grams",
        ADAM,
        "arXiv:2412.17107",
        "Adam's magnitudes with the gradient's signs",
        decay=DECOUPLED,
        params=lr(1e-4, 3e-3, 0.1),
    ),
    row(
        "GrokFastAdamW",
        ADAM,
        "Lee et al. 2024, arXiv:2405.20233",
        "AdamW on gradients whose slow part is amplified",
        decay=DECOUPLED,
        params={
            **lr(3e-4, 3e-3, 0.1),
            "beta2": Float(0.9, 0.9999, default=0.99),
            "grokfast_alpha": Float(0.8, 0.99, default=0.98),
            "grokfast_lamb": log(0.1, 2.0, 5.0),
        },
    ),
    row(
        "Kate",
        {},
        "Choudhury et al. 2024, arXiv:2403.02648",
        "AdaGrad without the square root, invariant to scale",
        decay=DECOUPLED,
        params=lr(1e-5, 3e-4, 3e-3),
    ),
    row(
        "LaProp",
        ADAM,
        "Ziyin et al. 2020, arXiv:2002.04839",
        "momentum of gradients that are scaled already",
        decay=DECOUPLED,
    ),
    row(
        "MADGRAD",
        {},
        "Defazio & Jelassi 2021, arXiv:2101.11075",
        "AdaGrad by dual averaging with momentum",
        decay=COUPLED,
        params={**lr(1e-4, 1e-3, 0.3), "momentum": Float(0.5, 0.99, default=0.9)},
    ),
    row(
        "MARS",
        ADAM,
        "Yuan et al. 2024, arXiv:2411.10438",
        "AdamW on gradients of less variance",
        decay=DECOUPLED,
        params={
            **lr(3e-4, 3e-3, 3e-2),
            "beta1": Float(0.8, 0.99, default=0.95),
            "beta2": Float(0.9, 0.999, default=0.99),
            "gamma": log(5e-3, 2.5e-2, 0.1),
            "optimize_1d": OneOf((True,)),
        },
    ),
    row(
        "MSVAG",
        {},
        "Balles & Hennig 2017, arXiv:1705.07774",
        "momentum that shrinks where the gradient is noise",
        params={**lr(1e-2, 0.1, 3.0), "beta": Float(0.8, 0.99, default=0.9)},
    ),
    row(
        "PAdam",
        {"lr": log(1e-2, 0.1, 1.0), "beta1": BETA1, "beta2": BETA2},
        "Chen et al. 2018, arXiv:1806.06763",
        "Adam with a smaller power of the second moment",
        decay=COUPLED,
        params={"partial": Float(0.1, 0.5, default=0.25)},
    ),
    row(
        "QHAdam",
        ADAM,
        "Ma & Yarats 2018, arXiv:1810.06801",
        "Adam with quasi-hyperbolic moments",
        decay=COUPLED,
        params={"nu1": Float(0.5, 1.0, default=1.0), "nu2": Float(0.5, 1.0, default=1.0)},
    ),
    row(
        "RAdam",
        ADAM,
        "Liu et al. 2019, arXiv:1908.03265",
        "Adam that waits for a variance it can trust",
        decay=DECOUPLED,
        params={**lr(1e-3, 1e-2, 0.3), "degenerated_to_sgd": OneOf((True,))},  # as in the paper
    ),
    row(
        "Ranger",
        ADAM,
        "Wright 2019, github.com/lessw2020/Ranger-Deep-Learning-Optimizer",
        "RAdam with Lookahead and centred gradients",
        decay=DECOUPLED,
        params={
            **lr(3e-3, 3e-2, 1.0),
            "beta1": Float(0.8, 0.99, default=0.95),
            "alpha": Float(0.3, 0.8, default=0.5),
            "k": Int(2, 10, default=6),
        },
    ),
    row(
        "Ranger21",
        ADAM,
        "Wright & Demeure 2021, arXiv:2106.13731",
        "AdamW with eight later ideas, its own schedule left off",
        decay=DECOUPLED,
        params={
            **lr(3e-4, 1e-2, 0.1),
            "num_iterations": OneOf((1000,)),  # sets the schedule that the next line leaves off
            "disable_lr_scheduler": OneOf((True,)),
        },
        fails=OVERFLOWS,
        groups=False,  # one variance for the whole group
    ),
    row(
        "SimplifiedAdEMAMix",
        ADAM,
        "Morwani et al. 2025, arXiv:2502.02431",
        "AdEMAMix with one momentum and the gradient",
        decay=DECOUPLED,
        params={
            **lr(1e-4, 3e-3, 0.1),
            "beta1": Float(0.9, 0.999, default=0.99),
            "beta2": Float(0.9, 0.999, default=0.95),
            "alpha": Float(0.0, 10.0, default=0.0),
        },
    ),
    row(
        "SPAM",
        ADAM,
        "Huang et al. 2025, arXiv:2501.06842",
        "Adam that clips spikes and forgets its momentum now and then",
        decay=DECOUPLED,
        params={"threshold": Int(500, 20000, log=True, default=5000)},
    ),
    row(
        "StableAdamW",
        ADAM,
        "Wortsman et al. 2023, arXiv:2304.13013",
        "AdamW with Adafactor's clip of the update",
        decay=DECOUPLED,
        params={"beta2": Float(0.9, 0.999, default=0.99)},
    ),
    row(
        "StableSPAM",
        ADAM,
        "Huang et al. 2025, arXiv:2502.17055",
        "SPAM with clips that adapt, for training in 4 bits",
        decay=DECOUPLED,
        params={
            "gamma1": Float(0.5, 0.9, default=0.7),
            "gamma2": Float(0.8, 0.99, default=0.9),
        },
    ),
    row(
        "SWATS",
        ADAM,
        "Keskar & Socher 2017, arXiv:1712.07628",
        "Adam that goes over to SGD at a rate it finds",
        built="self_paced",
        decay=COUPLED,
        groups=False,  # a group changes over as one
    ),
    row(
        "Yogi",
        ADAM,
        "Zaheer et al. 2018, papers.nips.cc/paper/8186",
        "Adam whose second moment changes by bounded steps",
        decay=DECOUPLED,
        params={**lr(3e-4, 1e-2, 0.1), "initial_accumulator": log(1e-8, 1e-6, 1e-2)},
    ),
)

MOMENTUM_ONLY: Final = (
    row(
        "A2Grad",
        {},
        "Deng et al. 2018, arXiv:1810.00553",
        "accelerated SGD by a bound on the slope's change; no learning rate",
        params={"beta": log(1.0, 10.0, 100.0), "lips": log(1.0, 10.0, 100.0)},
    ),
    row(
        "AccSGD",
        {},
        "Kidambi et al. 2017, arXiv:1704.08227",
        "accelerated SGD with long and short steps",
        decay=COUPLED,
        params={**lr(1e-3, 3e-2, 1.0), "kappa": log(100.0, 1000.0, 10000.0)},
    ),
    row(
        "AggMo",
        {},
        "Lucas et al. 2018, arXiv:1804.00325",
        "the mean of several momenta",
        decay=COUPLED,
        params={
            **lr(1e-3, 3e-2, 1.0),
            "beta2": Float(0.8, 0.95, default=0.9),
            "beta3": Float(0.95, 0.999, default=0.99),
        },
    ),
    row(
        "AliG",
        {},
        "Berrada et al. 2019, arXiv:1906.05661",
        "Polyak's step size for losses that reach 0",
        built="closed",
        params={"max_lr": log(1e-2, 0.1, 1.0), "momentum": MOMENTUM},
        closure=True,
        fails={"huge_gradient": "divides by the squared norm, which overflows to infinity"},
    ),
    row(
        "ASGD",
        {},
        "Malitsky & Mishchenko 2019, arXiv:1910.09529",
        "gradient descent at the inverse of the slope's measured change",
        built="self_paced",
        decay=DECOUPLED,
        params={**lr(1e-2, 0.3, 3.0), "amplifier": log(1e-3, 2e-2, 0.2)},
        groups=False,  # one step size for the whole group
    ),
    row(
        "Gravity",
        {},
        "Bahrami & Zadeh 2021, arXiv:2101.09192",
        "momentum with gradients bounded like falling bodies",
        params={
            **lr(1e-2, 0.1, 3.0),
            "alpha": log(1e-3, 1e-2, 0.1),
            "beta": Float(0.5, 0.99, default=0.9),
        },
        fails={"huge_gradient": "divides by the squared gradient, which overflows to infinity"},
    ),
    row(
        "PID",
        SGD,
        "An et al. 2018, CVPR, A PID Controller Approach",
        "momentum as a controller with a derivative term",
        decay=COUPLED,
        params={
            **lr(1e-3, 3e-2, 0.3),
            "integral": log(0.5, 5.0, 20.0),
            "derivative": log(1.0, 10.0, 50.0),
        },
    ),
    row(
        "PNM",
        {},
        "Xie et al. 2021, arXiv:2103.17182",
        "SGD with positive and negative momentum",
        decay=DECOUPLED,
        params={
            **lr(1e-2, 0.3, 3.0),
            "beta1": BETA1,
            "beta2": Float(0.5, 1.0, default=1.0),
        },
    ),
    row(
        "QHM",
        SGD,
        "Ma & Yarats 2018, arXiv:1810.06801",
        "a mean of momentum and the gradient",
        decay=COUPLED,
        params={"momentum": Float(0.0, 0.999, default=0.9), "nu": Float(0.3, 1.0, default=0.7)},
    ),
    row(
        "SGDP",
        SGD,
        "Heo et al. 2020, arXiv:2006.08217",
        "momentum without the part that only grows scale-invariant weights",
        decay=DECOUPLED,
        params={"delta": log(1e-2, 0.1, 1.0)},
    ),
    row(
        "SGDSaI",
        SGD,
        "Xu et al. 2024, arXiv:2412.11768",
        "momentum at rates set once, by each tensor's first gradient",
        decay=DECOUPLED,
        params=lr(1e-3, 1e-2, 0.3),
    ),
    row(
        "SGDW",
        SGD,
        "Loshchilov & Hutter 2019, arXiv:1711.05101",
        "momentum with decoupled weight decay",
        decay=DECOUPLED,
        params={"nesterov": OneOf((False,))},
    ),
    row(
        "SRMM",
        {},
        "Lyu 2022, arXiv:2201.01652",
        "a running majoriser of the loss",
        params={
            **lr(1e-2, 0.3, 3.0),
            "beta": Float(0.3, 0.9, default=0.5),
            "memory_length": Int(10, 1000, log=True, default=100),
        },
    ),
    row(
        "TAM",
        SGD,
        "arXiv:2412.18790",
        "momentum that weighs gradients by their agreement",
        decay=DECOUPLED,
        params={"decay_rate": Float(0.8, 0.99, default=0.9)},
    ),
    row(
        "VSGD",
        {},
        "openreview.net/forum?id=xu4ATNjcdy",
        "SGD that infers the true gradient by variational Bayes",
        decay=DECOUPLED,
        params={
            **lr(1e-3, 1e-2, 0.1),
            "ghattg": log(1.0, 30.0, 100.0),
            "tau1": Float(0.7, 0.95, default=0.81),
            "tau2": Float(0.8, 0.99, default=0.9),
        },
    ),
)

SIGNED: Final = (
    row(
        "Ano",
        SIGN,
        "arXiv:2508.18258",
        "the momentum's direction with the gradient's size",
        decay=DECOUPLED,
        params={"beta1": Float(0.8, 0.99, default=0.92)},
    ),
    row(
        "EmoLynx",
        SIGN,
        "github.com/muooon/EmoNavi",
        "Lion paced by the loss's short and long averages",
        decay=DECOUPLED,
        groups=False,  # averages the loss once a group
        closure=True,
    ),
    row(
        "FOCUS",
        SIGN,
        "Liu et al. 2025, arXiv:2501.12243",
        "sign descent drawn to a running mean of the weights",
        decay=DECOUPLED,
        params={"beta2": BETA2, "gamma": log(1e-2, 0.1, 0.5)},
    ),
    row(
        "Lion",
        SIGN,
        "Chen et al. 2023, arXiv:2302.06675",
        "the sign of an interpolated momentum",
        decay=DECOUPLED,
    ),
    row(
        "SignSGD",
        {},
        "Bernstein et al. 2018, arXiv:1802.04434",
        "the momentum's sign",
        decay=DECOUPLED,
        params={**lr(3e-5, 1e-3, 3e-2), "momentum": MOMENTUM},
    ),
    row(
        "Tiger",
        {},
        "Su 2023, github.com/bojone/tiger",
        "the sign of one momentum",
        decay=DECOUPLED,
        params={**lr(3e-5, 1e-3, 1e-2), "beta": Float(0.9, 0.99, default=0.965)},
    ),
)

LEARNING_RATE_FREE: Final = (
    row(
        "AdamG",
        {},
        "Pan et al. 2024, arXiv:2405.04376",
        "Adam whose step size is the golden one of AdaGrad",
        decay=COUPLED,
        params={
            **FREE,
            "p": Float(0.1, 0.5, default=0.2),
            "q": Float(0.1, 0.5, default=0.24),
        },
    ),
    row(
        "DAdaptAdaGrad",
        FREE,
        "Defazio & Mishchenko 2023, arXiv:2301.07733",
        "AdaGrad that estimates the distance to go",
        decay=COUPLED,
        params={"momentum": Float(0.0, 0.9, default=0.0), "d0": log(1e-6, 1e-4, 1e-2)},
        groups=False,  # one distance for all
        fails=ONE_RATE,
    ),
    row(
        "DAdaptAdam",
        FREE,
        "Defazio & Mishchenko 2023, arXiv:2301.07733",
        "Adam that estimates the distance to go",
        decay=COUPLED,
        params={"beta1": BETA1, "beta2": BETA2, "d0": log(1e-7, 1e-6, 1e-4)},
        groups=False,  # one distance for all
        fails=ONE_RATE,
    ),
    row(
        "DAdaptAdan",
        FREE,
        "Defazio & Mishchenko 2023, arXiv:2301.07733",
        "Adan that estimates the distance to go",
        decay=COUPLED,
        params={
            "lr": log(3e-2, 0.3, 1.0),
            "beta1": Float(0.9, 0.99, default=0.98),
            "beta2": Float(0.8, 0.99, default=0.92),
            "beta3": Float(0.9, 0.999, default=0.99),
            "d0": log(1e-7, 1e-6, 1e-4),
        },
        groups=False,  # one distance for all
        fails=ONE_RATE,
    ),
    row(
        "DAdaptLion",
        FREE,
        "Defazio & Mishchenko 2023, arXiv:2301.07733",
        "Lion that estimates the distance to go",
        decay=COUPLED,
        params={
            "lr": log(0.1, 0.5, 1.0),
            "beta1": BETA1,
            "beta2": BETA2,
            "d0": log(1e-7, 1e-6, 1e-4),
        },
        groups=False,  # one distance for all
        fails=ONE_RATE,
    ),
    row(
        "DAdaptSGD",
        FREE,
        "Defazio & Mishchenko 2023, arXiv:2301.07733",
        "momentum that estimates the distance to go",
        decay=COUPLED,
        params={
            "lr": log(0.1, 1.0, 1.5),
            "momentum": Float(0.5, 0.99, default=0.9),
            "d0": log(1e-7, 1e-6, 1e-4),
        },
        groups=False,  # one distance for all
        fails=ONE_RATE,
    ),
    row(
        "Prodigy",
        FREE,
        "Mishchenko & Defazio 2023, arXiv:2306.06101",
        "D-Adaptation that grows faster",
        decay=DECOUPLED,
        params={"beta1": BETA1, "beta2": BETA2, "d_coef": log(0.3, 1.0, 3.0)},
        fails=ONE_RATE,
    ),
)

BY_LAYER: Final = (
    row(
        "Fromage",
        LAYERWISE,
        "Bernstein et al. 2020, arXiv:2002.03432",
        "steps in proportion to each tensor's norm",
        fails=OVERFLOWS,
    ),
    row(
        "Lamb",
        LAYERWISE,
        "You et al. 2019, arXiv:1904.00962",
        "Adam in proportion to each tensor's norm",
        decay=DECOUPLED,
        params={"beta1": BETA1, "beta2": BETA2},
    ),
    row(
        "LARS",
        LAYERWISE,
        "You et al. 2017, arXiv:1708.03888",
        "momentum in proportion to each tensor's norm",
        decay=COUPLED,
        params={
            **lr(0.1, 1.0, 5.0),
            "momentum": MOMENTUM,
            "trust_coefficient": log(1e-3, 1e-2, 5e-2),
        },
    ),
    row(
        "Nero",
        LAYERWISE,
        "Liu et al. 2021, arXiv:2102.07227",
        "steps on the sphere of each neuron's weights",
        params={**lr(1e-3, 1e-2, 0.3), "beta": Float(0.9, 0.9999, default=0.999)},
    ),
    row(
        "NovoGrad",
        {},
        "Ginsburg et al. 2019, arXiv:1905.11286",
        "Adam with one second moment a tensor",
        decay=COUPLED,
        params={
            **lr(1e-4, 3e-3, 0.1),
            "beta1": Float(0.8, 0.99, default=0.95),
            "beta2": Float(0.9, 0.999, default=0.98),
        },
    ),
    row(
        "ROSE",
        {},
        "github.com/MatthewK78/Rose",
        "gradients by their range, without any state",
        decay=COUPLED,
        params=lr(3e-4, 3e-3, 0.3),
    ),
)

SMALL_STATE: Final = (
    row(
        "AdaFactor",
        FACTORED,
        "Shazeer & Stern 2018, arXiv:1804.04235",
        "Adam with its second moment as a row and a column",
        decay=DECOUPLED,
        params={
            **lr(3e-3, 3e-2, 0.3),
            "clip_threshold": log(0.5, 1.0, 2.0),
            "relative_step": OneOf((False,)),  # else it ignores the learning rate
        },
        without=("beta2",),
    ),
    row(
        "Adalite",
        {"lr": log(3e-4, 3e-3, 3e-2), "beta1": BETA1, "beta2": BETA2},
        "github.com/VatsaDev/adalite",
        "Lamb and Adafactor in one state a tensor",
        decay=DECOUPLED,
    ),
    row(
        "Alice",
        {},
        "Gong et al. 2025, arXiv:2502.07752",
        "the Fisher matrix in a low-rank basis, and what lies outside it",
        decay=DECOUPLED,
        params={
            **lr(1e-3, 2e-2, 0.3),
            "beta1": BETA1,
            "beta2": Float(0.8, 0.99, default=0.9),
            "beta3": Float(0.9, 0.9999, default=0.999),
            "alpha": Float(0.1, 0.5, default=0.3),
        },
    ),
    row(
        "APOLLO",
        LOW_RANK,
        "Zhu et al. 2024, arXiv:2412.05270",
        "AdamW's scale for each channel from a random low-rank view",
        built="low_rank",
        decay=DECOUPLED,
        params={
            **lr(1e-4, 3e-3, 3e-2),
            "projection_type": OneOf(("random",)),
            "scale_type": OneOf(("channel", "tensor")),
        },
        fails=OBJECTS,
    ),
    row(
        "CAME",
        {},
        "Luo et al. 2023, aclanthology.org/2023.acl-long.243",
        "Adafactor that trusts stable updates",
        decay=DECOUPLED,
        params={
            **lr(1e-5, 2e-4, 1e-2),
            "beta1": BETA1,
            "beta2": BETA2,
            "beta3": Float(0.999, 0.99999, default=0.9999),
        },
    ),
    row(
        "Conda",
        ADAM,
        "arXiv:2509.24218",
        "Adam's second moment along the momentum's singular vectors",
        decay=DECOUPLED,
        params={
            **lr(1e-4, 3e-3, 3e-2),
            "update_proj_gap": Int(5, 500, log=True, default=100),
        },
        fails=OBJECTS,
    ),
    row(
        "EmoFact",
        ADAM,
        "github.com/muooon/EmoNavi",
        "Adafactor paced by the loss's short and long averages",
        decay=DECOUPLED,
        params=lr(1e-4, 1e-3, 1e-2),
        without=("beta2",),
        groups=False,  # averages the loss once a group
        closure=True,
    ),
    row(
        "EmoNavi",
        ADAM,
        "github.com/muooon/EmoNavi",
        "Adam paced by the loss's short and long averages",
        decay=DECOUPLED,
        params=lr(1e-5, 1e-3, 1e-2),
        groups=False,  # averages the loss once a group
        closure=True,
    ),
    row(
        "Fira",
        LOW_RANK,
        "Chen et al. 2024, arXiv:2410.01623",
        "GaLore plus what the subspace leaves out",
        built="low_rank",
        decay=DECOUPLED,
        fails=OBJECTS,
    ),
    row(
        "GaLore",
        LOW_RANK,
        "Zhao et al. 2024, arXiv:2403.03507",
        "Adam in the leading singular directions of each gradient",
        built="low_rank",
        decay=DECOUPLED,
        fails=OBJECTS,
    ),
    row(
        "RACS",
        {},
        "Gong et al. 2025, arXiv:2502.07752",
        "gradients scaled by row and by column",
        decay=DECOUPLED,
        params={
            **lr(1e-3, 2e-2, 0.3),
            "beta": Float(0.8, 0.99, default=0.9),
            "alpha": log(1e-2, 5e-2, 0.5),
        },
    ),
    row(
        "SM3",
        {},
        "Anil et al. 2019, arXiv:1901.11150",
        "AdaGrad with one number for each row and column",
        params={
            **lr(1e-2, 0.1, 1.0),
            "momentum": Float(0.0, 0.95, default=0.0),
            "beta": Float(0.0, 0.99, default=0.0),
        },
    ),
)

PRECONDITIONED: Final = (
    row(
        "AdaHessian",
        CURVED,
        "Yao et al. 2020, arXiv:2006.00719",
        "Adam with the Hessian's diagonal for its second moment",
        decay=DECOUPLED,
        params={**lr(1e-2, 0.1, 0.3), "hessian_power": Float(0.5, 1.0, default=1.0)},
        create_graph=True,
    ),
    row(
        "ApolloDQN",
        {},
        "Ma 2020, arXiv:2009.13586",
        "a diagonal quasi-Newton method",
        decay=COUPLED,
        params={
            **lr(1e-3, 1e-2, 0.1),
            "beta": BETA1,
            "warmup_steps": OneOf((0,)),  # while it warms up it follows no schedule
        },
    ),
    row(
        "DASH",
        MATRIX,
        "arXiv:2602.02016",
        "Shampoo in blocks of one batch",
        decay=DECOUPLED,
        params={"beta2": Float(0.9, 0.999, default=0.95)},
    ),
    row(
        "FTRL",
        {},
        "McMahan et al. 2013, doi:10.1145/2487575.2488200",
        "AdaGrad with an L1 penalty that gives exact zeros",
        params={**lr(3e-3, 3e-2, 1.0), "lambda_1": log(1e-6, 1e-4, 1e-2)},
    ),
    row(
        "Kron",
        {},
        "Li 2015, arXiv:1512.04202",
        "a Kronecker-factored preconditioner learned by descent",
        decay=DECOUPLED,
        params={
            **lr(1e-4, 3e-3, 3e-2),
            "momentum": Float(0.8, 0.99, default=0.9),
            "balance_prob": OneOf((1.0,)),  # else NumPy's global generator decides
        },
    ),
    row(
        "ScalableShampoo",
        MATRIX,
        "Anil et al. 2020, arXiv:2002.09018",
        "Shampoo in blocks, at the length of an SGD step",
        decay=COUPLED,
        params={
            **lr(3e-3, 3e-2, 0.3),
            "start_preconditioning_step": Int(5, 100, log=True, default=25),
            "preconditioning_compute_steps": Int(1, 100, log=True, default=20),
            # else small matrices become vectors, which it does not precondition
            "shape_interpretation": OneOf((False,)),
        },
        fails=OBJECTS,
    ),
    row(
        "Shampoo",
        {},
        "Gupta et al. 2018, arXiv:1802.09568",
        "a preconditioner for every side of a tensor",
        decay=COUPLED,
        params={
            **lr(1e-2, 0.1, 3.0),
            "momentum": Float(0.0, 0.95, default=0.0),
            "matrix_eps": log(1e-2, 0.1, 1.0),  # less is lost beside large gradients in float32
        },
    ),
    row(
        "SOAP",
        MATRIX,
        "Vyas et al. 2024, arXiv:2409.11321",
        "Adam in the eigenbasis of Shampoo",
        decay=DECOUPLED,
        params={
            "beta1": Float(0.8, 0.99, default=0.95),
            "beta2": Float(0.9, 0.999, default=0.95),
            "precondition_frequency": Int(1, 100, log=True, default=10),
        },
    ),
    row(
        "SophiaH",
        CURVED,
        "Liu et al. 2023, arXiv:2305.14342",
        "momentum by the Hessian's diagonal, clipped",
        decay=DECOUPLED,
        params={
            "beta1": Float(0.9, 0.99, default=0.96),
            "beta2": Float(0.9, 0.999, default=0.99),
            "p": log(1e-3, 1e-2, 0.1),
            "update_period": Int(1, 20, log=True, default=10),
        },
        create_graph=True,
    ),
    row(
        "SPlus",
        {},
        "Frans et al. 2025, arXiv:2506.07254",
        "the sign in Shampoo's eigenbasis, evaluated at an average",
        decay=DECOUPLED,
        params={
            **lr(1e-2, 0.3, 3.0),
            "beta1": BETA1,
            "beta2": BETA2,
            "ema_rate": Float(0.9, 0.999, default=0.99),
            "inverse_steps": Int(5, 200, log=True, default=100),
        },
        fails={"state_dict": "eval() before the first step raises KeyError"},
    ),
)

ORTHOGONALISED: Final = (
    row(
        "AdaGO",
        ORTHOGONAL,
        "arXiv:2509.02981",
        "Muon with AdaGrad's step size",
        built="matrices_apart",
        decay=DECOUPLED,
        params={**lr(1e-2, 5e-2, 1.0), "gamma": log(1.0, 10.0, 100.0)},
    ),
    row(
        "AdaMuon",
        {"adamw_lr": ORTHOGONAL["adamw_lr"]},
        "arXiv:2507.11005",
        "Muon with Adam's second moment",
        built="matrices_apart",
        decay=DECOUPLED,
        params={
            **lr(3e-3, 2e-2, 0.3),
            "beta1": BETA1,
            "beta2": Float(0.9, 0.999, default=0.95),
        },
    ),
    row(
        "Muon",
        ORTHOGONAL,
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon",
        "momentum, its matrices orthogonalised; AdamW for vectors",
        built="matrices_apart",
        decay=DECOUPLED,
    ),
    row(
        "MuonClip",
        ORTHOGONAL,
        "Kimi Team 2025, arXiv:2507.20534",
        "Muon at AdamW's update size; without attention logits, its clip never acts",
        built="matrices_apart",
        decay=DECOUPLED,
    ),
    row(
        "NorMuon",
        ORTHOGONAL,
        "arXiv:2510.05491",
        "Muon with one second moment a neuron",
        built="matrices_apart",
        decay=DECOUPLED,
        params={"beta2": Float(0.9, 0.999, default=0.95)},
    ),
    row(
        "SCION",
        {},
        "Pethick et al. 2025, arXiv:2502.07529",
        "the step of each norm's ball: spectral for matrices",
        decay=DECOUPLED,
        params={**lr(3e-3, 2e-2, 0.3), "momentum": Float(0.02, 0.5, default=0.1)},
    ),
)

WITHOUT_SCHEDULE: Final = (
    row(
        "ScheduleFreeAdamW",
        AVERAGED,
        "Defazio et al. 2024, arXiv:2405.15682",
        "AdamW that averages its weights instead of a schedule",
        decay=COUPLED,
        params=lr(1e-3, 1e-2, 0.3),
    ),
    row(
        "ScheduleFreeRAdam",
        AVERAGED,
        "Defazio et al. 2024, arXiv:2405.15682",
        "RAdam that averages its weights instead of a schedule",
        decay=COUPLED,
        params=lr(1e-2, 0.1, 3.0),
        fails={"groups": "moves from its sixth step on"},
    ),
    row(
        "ScheduleFreeSGD",
        {},
        "Defazio et al. 2024, arXiv:2405.15682",
        "SGD that averages its weights instead of a schedule",
        decay=COUPLED,
        params={**lr(0.1, 1.0, 3.0), "momentum": Float(0.8, 0.98, default=0.9)},
    ),
)

SPECS: Final = (
    *ADAPTIVE,
    *MOMENTUM_ONLY,
    *SIGNED,
    *LEARNING_RATE_FREE,
    *BY_LAYER,
    *SMALL_STATE,
    *PRECONDITIONED,
    *ORTHOGONALISED,
    *WITHOUT_SCHEDULE,
)

TORCHS: Final = "torch.optim's own class under its own name: builtin has the method"

UNUSABLE: Final[Mapping[str, str]] = {
    "adalomo": "steps inside its own backward pass, parameter by parameter",
    "adam": TORCHS,
    "adammini": "wants the model: it tells embeddings and attention heads by their names",
    "adamw": TORCHS,
    "bsam": "wants the number of training examples, which an optimizer here is not told",
    "demo": "wants a process group, and the library einops",
    "distributedmuon": "wants a process group",
    "lbfgs": TORCHS,
    "lomo": "steps inside its own backward pass, parameter by parameter",
    "lorarite": "made for the factor pairs of LoRA; it preconditions a whole matrix by one side",
    "magma": "wraps another optimizer",
    "nadam": TORCHS,
    "rmsprop": TORCHS,
    "sara": "trains only the weights that begin near 0: made for fine-tuning",
    "scionlight": "keeps its momentum in the gradients, which a training loop sets to zero",
    "sgd": TORCHS,
    "spectralsphere": "takes matrices only, and has no rule for biases and scales",
}
"""What the library lists and we do not offer, with the reason."""
