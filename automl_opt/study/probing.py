"""Which of a study's trials can be trained several at once, asked without training any."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from automl_opt.core.spec import StudySpec
from automl_opt.plugin.host import Host
from automl_opt.search.space import arms_of
from automl_opt.study.runner import MOST_SLOTS, slots, with_direction
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import answers
from automl_opt.training.task import Task, load_task


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What was found about an arm, or about a regularizer in its first arm.

    Args:
        refusal: why its trials are trained one after the other.
        smallest: from how many trials on a stack is faster; ``None`` where it never was.
        memory: bytes that a trial takes in a stack; ``None`` where that was not measured.
        fits: how many trials of a stack fit into memory; ``None`` where it sets no limit.
    """

    name: str
    refusal: str | None
    smallest: int | None
    memory: int | None
    fits: int | None


def probe_study(spec: StudySpec, *, host: Host, task: Task | None = None) -> list[Probed]:
    """Probe every arm of *spec* at its defaults, and every regularizer in the first arm.

    Raises:
        SpecError, TaskError, UnknownComponent: the study cannot start.
    """
    task = task or load_task(spec)
    spec = with_direction(spec, task)
    builder = TorchBuilder(host.catalog)
    spaces = arms_of(spec, host.catalog, task.ranges(spec), builder)
    recipes = {space.arm: space.default() for space in spaces}
    first = next(iter(recipes.values()))
    names = spec.components["regularizer"]
    found = (
        host.catalog.candidates("regularizer")
        if names == "all"
        else [host.catalog.whole("regularizer", name) for name in names]
    )
    for component in found:
        recipes[f"with {component.label}"] = replace(first, regularizers=(component.part(),))
    places = MOST_SLOTS if spec.together == 1 else slots(spec, len(spaces))
    said = answers(task, spec, builder, list(recipes.values()), slots=places)
    return [Probed(name=name, **asdict(answer)) for name, answer in zip(recipes, said, strict=True)]
