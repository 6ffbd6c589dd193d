"""A study file as one frozen value, checked key by key."""

from __future__ import annotations

import copyreg
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from automl_opt.core.errors import ParamError, SpecError, UnknownComponent, did_you_mean
from automl_opt.core.params import Param, Value, parse_range, to_dict
from automl_opt.core.recipe import LR_SCALINGS
from automl_opt.core.verdict import SCALES

KINDS = ("optimizer", "scheduler", "regularizer", "initializer")
DEFAULT_STORAGE = "sqlite:///automl_opt.db"
EXECUTORS = ("processes", "ray")
ALLOCATIONS = ("equal", "leaders", "elimination")


@dataclass(frozen=True)
class Choice:
    """A strategy or pruner by name, with the parameters the study gives it."""

    name: str
    params: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How the verdict on a study is reached; see :class:`automl_opt.core.verdict.Score`.

    Args:
        metric: ``None``: the study's.
        scale: ``None``: ``log`` for a metric that is minimised, ``plain`` for the others.
        baseline: an optimizer at its defaults that the finalists have to beat; ``none``: nothing.
        seeds: common seeds at most.
    """

    metric: str | None = None
    scale: str | None = None
    margin: float = 0.01
    baseline: str = "adam"
    seeds: int = 40


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """What a study asks, on what, within which ranges and budget.

    Args:
        source: the study file, for messages and for the task's relative path.
        compare: the kind of component whose candidates become the arms.
        components: kind to the names that may be chosen, or ``"all"``.
        lr_scaling: the rules that may be chosen; see :class:`automl_opt.core.recipe.Recipe`.
        overrides: ``kind -> component name -> parameter -> override`` (``"model"``: parameter ->
            override), as :func:`automl_opt.core.params.overridden` reads them.
        trials: trials an arm, failed and pruned ones counted.
        allocation: how trials are shared between arms: ``equal``, ``leaders``, ``elimination``.
        time_limit_s: seconds of training for the whole study, all runs of it counted.
        direction: ``None``: the metric's own.
        threads: CPU threads; ``None``: one for small models, torch's own number otherwise.
        together: how many trials are in training at a time, or ``"auto"``.
        compile: whether trials that are trained as one model run compiled code, or ``"auto"``.
        workers: how many of the *executor*'s share them.
        executor: ``processes`` of this machine, or ``ray``: actors of a cluster.
        gpus_per_worker: of an actor; ``None``: what there is is shared evenly.
        ray_address: ``None``: that of ``RAY_ADDRESS``, or a cluster of this machine alone.
        checkpoint_every_s: seconds after which a trial's state is saved again.
        checkpoints: the folder or URL to save it in; ``None``: beside the database.
    """

    source: str
    name: str
    question: str
    task: str
    compare: str
    components: Mapping[str, tuple[str, ...] | str]
    batch_size: Param
    lr_scaling: tuple[str, ...]
    overrides: Mapping[str, Mapping[str, Any]]
    strategy: Choice
    pruner: Choice
    trials: int
    time_limit_s: float | None
    epochs: int
    accumulate: int
    device: str
    precision: str
    threads: int | None
    together: int | str
    compile: bool | str
    workers: int
    executor: str
    gpus_per_worker: float | None
    ray_address: str | None
    checkpoint_every_s: float
    checkpoints: str | None
    metric: str
    direction: str | None
    seed: int
    storage: str
    judging: Judging = Judging()
    allocation: str = "equal"

    def error(self, key: str, message: str) -> SpecError:
        """A :class:`SpecError` that names this file and *key*."""
        return SpecError(f"{self.source}, {key}: {message}")

    @contextmanager
    def blame(self, key: str) -> Iterator[None]:
        """Inside, an unknown component is reported as this file's, at *key*."""
        try:
            yield
        except UnknownComponent as error:
            raise UnknownComponent(f"{self.source}, {key}: {error}") from error

    def settings(self) -> dict[str, Any]:
        """Everything set, as plain data under the keys of the study file."""
        return {
            "name": self.name,
            "question": self.question,
            "task": self.task,
            "compare": self.compare,
            "seed": self.seed,
            **{f"[space] {kind}": names for kind, names in self.components.items()},
            "[space] batch_size": to_dict(self.batch_size),
            **({"[space] lr_scaling": self.lr_scaling} if self.lr_scaling != ("none",) else {}),
            "[ranges]": {kind: dict(ranges) for kind, ranges in self.overrides.items()},
            "[search] strategy": {"name": self.strategy.name, **self.strategy.params},
            "[search] pruner": {"name": self.pruner.name, **self.pruner.params},
            "[search] trials": self.trials,
            **({"[search] allocation": self.allocation} if self.allocation != "equal" else {}),
            "[search] time_limit": self.time_limit_s,
            "[training] epochs": self.epochs,
            "[training] accumulate": self.accumulate,
            "[training] device": self.device,
            "[training] precision": self.precision,
            "[training] threads": self.threads,
            **({"[training] together": self.together} if self.together != 1 else {}),
            **({"[training] compile": self.compile} if self.compile else {}),
            **({"[training] workers": self.workers} if self.workers != 1 else {}),
            **({"[training] executor": self.executor} if self.executor != "processes" else {}),
            "[training] checkpoint_every": self.checkpoint_every_s,
            **({"[training] checkpoints": self.checkpoints} if self.checkpoints else {}),
            "[objective] metric": self.metric,
            "[objective] direction": self.direction,
        }


def _read_only(content: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(content)


# a study is sent to worker processes, and Python would not know the type by its name
copyreg.pickle(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))


def load_study(path: str | Path, settings: Sequence[str] = ()) -> StudySpec:
    """Read ``study.toml``, or the folder that holds it.

    Args:
        settings: ``section.key=value`` each, set before the file is checked (the value is TOML;
            what is no TOML is taken as text).

    Raises:
        SpecError: the file is missing, is no TOML, or says what no study can be.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "study.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = [str(found.parent) for found in sorted(Path().glob("*/*/study.toml"))]
        hint = f"; {did_you_mean(str(path), near)}" if near else ""
        raise SpecError(f"{file}: no such study file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{file}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file}: is no TOML: {error}") from error
    return parse_study(data, source=str(file), settings=settings)


def parse_study(data: Mapping[str, Any], *, source: str, settings: Sequence[str] = ()) -> StudySpec:
    """A study from the same keys as ``study.toml``; raises :class:`SpecError`."""
    tree = _plain(data, source)
    for setting in settings:
        _apply(tree, setting)
    top = _Table(tree, source, "")
    space = top.table("space")
    search = top.table("search")
    training = top.table("training")
    objective = top.table("objective")
    verdict = top.table("verdict")

    spec = StudySpec(
        source=source,
        name=top.text("name", pattern=r"[A-Za-z0-9][\w.-]*"),
        question=top.text("question", default=""),
        task=top.text("task", pattern=r"[^:]+:\w+"),
        compare=top.one_of("compare", KINDS, default="optimizer"),
        components=MappingProxyType(
            {
                "optimizer": space.names("optimizer"),
                "scheduler": space.names("scheduler", default=("constant",)),
                "regularizer": space.names("regularizer", default=(), may_be_empty=True),
                "initializer": space.names("initializer", default=("default",)),
            }
        ),
        batch_size=space.range("batch_size", default=32, check=_positive_int),
        lr_scaling=space.some_of("lr_scaling", LR_SCALINGS, default=("none",)),
        overrides=_overrides(top.table("ranges")),
        strategy=search.choice("strategy", default="auto"),
        pruner=search.choice("pruner", default="none"),
        trials=search.integer("trials", default=20, low=1),
        allocation=search.one_of("allocation", ALLOCATIONS, default="equal"),
        time_limit_s=search.duration("time_limit", default=None),
        epochs=training.integer("epochs", default=20, low=1),
        accumulate=training.integer("accumulate", default=1, low=1),
        device=training.text("device", default="auto", pattern=r"auto|cpu|mps|cuda(:\d+)?"),
        precision=training.one_of("precision", ("float32", "bf16", "float64"), default="float32"),
        threads=training.integer("threads", default=None, low=1),
        together=training.integer_or("auto", "together", default=1, low=1),
        compile=training.switch("compile", "auto"),
        workers=training.integer("workers", default=1, low=1),
        executor=training.one_of("executor", EXECUTORS, default="processes"),
        gpus_per_worker=training.share("gpus_per_worker"),
        ray_address=training.text("ray_address", default=None, pattern=r"auto|\S+:\d+"),
        checkpoint_every_s=training.duration("checkpoint_every", default=30.0, may_be_zero=True),
        checkpoints=training.place("checkpoints"),
        metric=objective.text("metric", default="loss"),
        direction=objective.one_of("direction", ("minimize", "maximize"), default=None),
        seed=top.integer("seed", default=0, low=0),
        storage=top.text("storage", default=DEFAULT_STORAGE),
        judging=Judging(
            metric=verdict.text("metric", default=None),
            scale=verdict.one_of("scale", SCALES, default=None),
            margin=verdict.positive("margin", default=0.01),
            baseline=verdict.text("baseline", default="adam"),
            seeds=verdict.integer("seeds", default=40, low=10),
        ),
    )
    for table in (space, search, training, objective, verdict, top):
        table.refuse_the_rest()
    if not spec.components[spec.compare]:
        space.fail(spec.compare, f"must name at least one: compare = {spec.compare!r}")
    if spec.compile and spec.together == 1:
        training.fail("compile", 'is for several trials at a time: set together = K or "auto"')
    for key in ("gpus_per_worker", "ray_address"):
        if getattr(spec, key) is not None and spec.executor != "ray":
            training.fail(key, 'is for executor = "ray" alone')
    return spec


class _Table:
    """A TOML table that knows where it stands and which keys were asked for."""

    def __init__(self, data: Mapping[str, Any], source: str, section: str) -> None:
        self._data, self._source, self._section = data, source, section
        self._known: list[str] = []

    def fail(self, key: str, message: str) -> NoReturn:
        place = f"[{self._section}] {key}" if self._section else key
        raise SpecError(f"{self._source}, {place}: {message}")

    def _get(self, key: str, default: Any) -> Any:
        self._known.append(key)
        if key not in self._data:
            if default is _REQUIRED:
                near = [name for name in self._data if name not in self._known]
                hint = f" (keys here: {', '.join(near)})" if near else ""
                self.fail(key, f"is missing{hint}")
            return default
        return self._data[key]

    def refuse_the_rest(self) -> None:
        for key in self._data:
            if key not in self._known:
                self.fail(key, f"no such key; {did_you_mean(key, self._known, show=30)}")

    def table(self, key: str) -> _Table:
        value = self._get(key, {})
        if not isinstance(value, Mapping):
            self.fail(key, f"must be a table [{key}], not {value!r}")
        return _Table(value, self._source, f"{self._section}.{key}" if self._section else key)

    def items(self) -> list[tuple[str, Any]]:
        self._known.extend(self._data)
        return list(self._data.items())

    def text(self, key: str, default: Any = ..., pattern: str | None = None) -> Any:
        value = self._get(key, _REQUIRED if default is ... else default)
        if value is default:
            return value
        if not isinstance(value, str):
            self.fail(key, f"must be a text, not {value!r}")
        if pattern and not re.fullmatch(pattern, value):
            self.fail(key, f"{value!r} does not read as {_readable(pattern)}")
        return value

    def place(self, key: str) -> Any:
        """A path or a URL; ``None`` where none is given."""
        value = self.text(key, default=None, pattern=".+")
        if value is not None and re.match(r"[^/]+://[^/]*:[^/]*@", value):
            # it would be in the database, for whoever reads it
            self.fail(key, "must not hold a password; give credentials in the environment")
        return value

    def one_of(self, key: str, allowed: Sequence[str], default: Any) -> Any:
        value = self._get(key, default)
        if value is not default and value not in allowed:
            if not isinstance(value, str):
                self.fail(key, f"must be one of {', '.join(allowed)}, not {value!r}")
            self.fail(key, f"{value!r} is not known; {did_you_mean(value, allowed)}")
        return value

    def some_of(self, key: str, allowed: Sequence[str], default: Any) -> Any:
        found = self.names(key, default)
        if found == "all":
            return tuple(allowed)
        for value in found:
            if value not in allowed:
                self.fail(key, f"{value!r} is not known; {did_you_mean(value, allowed)}")
        return found

    def integer(self, key: str, default: Any, low: int) -> Any:
        value = self._get(key, default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"must be a whole number of at least {low}, not {value!r}")
        if value < low:
            self.fail(key, f"must be at least {low}, not {value!r}")
        return value

    def positive(self, key: str, default: float) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fail(key, f"must be a number above 0, not {value!r}")
        if not 0 < value < math.inf:
            self.fail(key, f"must be above 0, not {value!r}")
        return float(value)

    def share(self, key: str) -> Any:
        value = self._get(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            self.fail(key, f"must be a number from 0 to 1, not {value!r}")
        return value

    def integer_or(self, word: str, key: str, default: Any, low: int) -> Any:
        value = self._get(key, default)
        if value in (default, word) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            self.fail(key, f"must be a whole number of at least {low} or {word!r}, not {value!r}")
        return self.integer(key, default, low)

    def switch(self, key: str, word: str) -> bool | str:
        """Whether *key* is set, or *word*; by default not."""
        value: bool | str = self._get(key, False)
        if not isinstance(value, bool) and value != word:
            self.fail(key, f'must be true, false or "{word}", not {value!r}')
        return value

    def duration(self, key: str, default: Any, may_be_zero: bool = False) -> Any:
        value = self._get(key, default)
        if value is default:
            return value
        try:
            seconds = parse_duration(value)
        except ParamError as error:
            self.fail(key, str(error))
        if seconds < 0 or (seconds == 0 and not may_be_zero):
            self.fail(key, f"must be {'at least' if may_be_zero else 'above'} 0, not {value!r}")
        return seconds

    def names(self, key: str, default: Any = ..., may_be_empty: bool = False) -> Any:
        value = self._get(key, _REQUIRED if default is ... else default)
        if value is default or value == "all":
            return value
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fail(key, f'must be a list of names or "all", not {value!r}')
        if not value and not may_be_empty:
            self.fail(key, "must name at least one component")
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            self.fail(key, f"names {', '.join(twice)} twice")
        return tuple(value)

    def range(self, key: str, default: Any, check: Callable[[Param], str | None]) -> Param:
        value = self._get(key, default)
        try:
            param = parse_range(value)
        except ParamError as error:
            self.fail(key, str(error))
        if problem := check(param):
            self.fail(key, problem)
        return param

    def choice(self, key: str, default: str) -> Choice:
        value = self._get(key, default)
        if isinstance(value, str):
            return Choice(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            self.fail(key, f'must be a name or {{name = "…", …}}, not {value!r}')
        params = {name: given for name, given in value.items() if name != "name"}
        for name, given in params.items():
            if isinstance(given, (Mapping, list)):
                self.fail(f"{key}.{name}", f"must be a number, a text or a truth, not {given!r}")
        return Choice(value["name"], params)


_REQUIRED = object()


def parse_duration(value: Any) -> float:
    """Seconds from a number of seconds or a text such as ``90s``, ``10m``, ``1h30m``.

    Raises:
        ParamError: neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", text)
    if not found or not any(found.groups()):
        raise ParamError(f"{value!r} is no duration; write seconds, or 90s, 10m, 1h30m")
    hours, minutes, seconds = (float(group or 0) for group in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _positive_int(param: Param) -> str | None:
    values = getattr(param, "choices", None) or (getattr(param, "low", None),)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            return f"a batch size is a whole number of at least 1, not {value!r}"
    return None


def _overrides(table: _Table) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for kind, content in table.items():
        if kind not in (*KINDS, "model"):
            table.fail(kind, f"no such kind; {did_you_mean(kind, (*KINDS, 'model'))}")
        if not isinstance(content, Mapping):
            table.fail(kind, f"must be a table [ranges.{kind}], not {content!r}")
        for name, ranges in content.items():
            if kind != "model" and not isinstance(ranges, Mapping):
                table.fail(
                    f"{kind}.{name}",
                    f"must be a table of parameters ([ranges.{kind}.COMPONENT]), not {ranges!r}",
                )
        found[kind] = MappingProxyType(dict(content))
    return MappingProxyType(found)


def _apply(tree: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise SpecError(f"--set {setting}: write section.key=value, for example training.epochs=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    try:
        *path, last = _path(tomllib.loads(f"{key} = 0"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"--set {setting}: {key!r} is no key: {error}") from error
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise SpecError(f"--set {setting}: {part!r} is a value, not a table")
    tree[last] = _plain(value, f"--set {setting}")


def _path(tree: Any) -> list[str]:
    """The keys down to the one value of *tree*: dots separate them, unless they are quoted."""
    if not isinstance(tree, dict):
        return []
    [(key, below)] = tree.items()
    return [key, *_path(below)]


def _plain(value: Any, source: str, key: str = "") -> Any:
    """Our own copy of what TOML gave, so far as a study has a use for it."""
    if isinstance(value, Mapping):
        below = f"{key}." if key else ""
        return {name: _plain(inner, source, f"{below}{name}") for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, source, key) for inner in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    place = f"{source}, {key}" if key else source
    raise SpecError(f"{place}: must be a number, a text, a truth or a list of them, not {value!s}")


def _readable(pattern: str) -> str:
    return {
        r"[A-Za-z0-9][\w.-]*": "a name of letters, digits, '.', '_' and '-'",
        r"auto|\S+:\d+": "an address: host:port, or auto for the cluster of this node",
        ".+": "a path or a URL",
        r"[^:]+:\w+": "'file.py:function' or 'package.module:function'",
        r"auto|cpu|mps|cuda(:\d+)?": "a device: auto, cpu, mps, cuda or cuda:N",
    }[pattern]
