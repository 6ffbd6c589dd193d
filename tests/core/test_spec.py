from __future__ import annotations

import math
from datetime import date
from types import MappingProxyType

import pytest

from automl_opt.core.errors import ParamError, SpecError
from automl_opt.core.params import Int, OneOf
from automl_opt.core.spec import Choice, Judging, load_study, parse_duration, parse_study

LEAST = """
name = "digits"
task = "task.py:digits"

[space]
optimizer = ["adamw", "acme.lion"]
"""

FULL = """
name = "digits-mlp"
question = "Does Lion beat AdamW?"
task = "automl_opt.tasks:digits"
compare = "scheduler"
seed = 7
storage = "sqlite:///digits.db"

[space]
optimizer = "adamw"
scheduler = ["cosine", "constant"]
regularizer = ["mixup"]
initializer = "all"
batch_size = { low = 16, high = 128, log = true }

[ranges.optimizer."acme.lion"]
lr = { high = 0.1 }

[ranges.model]
width = [64, 128]

[search]
strategy = { name = "tpe", n_startup_trials = 10 }
pruner = "median"
trials = 50
time_limit = "1h30m"

[training]
epochs = 5
accumulate = 2
device = "cuda:1"
precision = "bf16"
threads = 2
checkpoint_every = 0

[objective]
metric = "accuracy"
direction = "maximize"
"""


def study_file(tmp_path, text):
    file = tmp_path / "study.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_study_that_says_the_least_gets_the_defaults(tmp_path):
    spec = load_study(study_file(tmp_path, LEAST))

    assert spec.source == str(tmp_path / "study.toml")
    assert spec.compare == "optimizer"
    assert spec.components == {
        "optimizer": ("adamw", "acme.lion"),
        "scheduler": ("constant",),
        "regularizer": (),
        "initializer": ("default",),
    }
    assert spec.batch_size == OneOf((32,))
    assert (spec.strategy, spec.pruner) == (Choice("auto"), Choice("none"))
    assert (spec.trials, spec.time_limit_s, spec.epochs) == (20, None, 20)
    assert (spec.device, spec.precision, spec.threads) == ("auto", "float32", None)
    assert (spec.metric, spec.direction, spec.seed) == ("loss", None, 0)


def test_a_study_that_says_everything_is_taken_at_its_word(tmp_path):
    spec = load_study(study_file(tmp_path, FULL))

    assert (spec.name, spec.question) == ("digits-mlp", "Does Lion beat AdamW?")
    assert (spec.task, spec.compare, spec.seed) == ("automl_opt.tasks:digits", "scheduler", 7)
    assert spec.components == {
        "optimizer": ("adamw",),
        "scheduler": ("cosine", "constant"),
        "regularizer": ("mixup",),
        "initializer": "all",
    }
    assert spec.batch_size == Int(16, 128, log=True)
    assert spec.overrides == {
        "optimizer": {"acme.lion": {"lr": {"high": 0.1}}},
        "model": {"width": [64, 128]},
    }
    assert spec.strategy == Choice("tpe", {"n_startup_trials": 10})
    assert (spec.pruner, spec.trials, spec.time_limit_s) == (Choice("median"), 50, 5400.0)
    assert (spec.epochs, spec.accumulate, spec.device) == (5, 2, "cuda:1")
    assert (spec.precision, spec.threads, spec.checkpoint_every_s) == ("bf16", 2, 0.0)
    assert (spec.metric, spec.direction) == ("accuracy", "maximize")
    assert spec.storage == "sqlite:///digits.db"


def test_a_folder_stands_for_the_study_in_it(tmp_path):
    file = study_file(tmp_path, LEAST)

    assert load_study(tmp_path) == load_study(file)


def test_an_error_of_another_floor_can_name_the_file_and_the_key(tmp_path):
    spec = load_study(study_file(tmp_path, LEAST))

    error = spec.error("[space] optimizer", "no optimizer named 'adamv'")

    assert isinstance(error, SpecError)
    assert str(error) == f"{spec.source}, [space] optimizer: no optimizer named 'adamv'"


SPACE = '[space]\noptimizer = ["adamw"]\n'
HEAD = 'name = "d"\ntask = "t.py:t"\n'


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        # what is missing
        ("task = 't.py:t'\n" + SPACE, "name", "is missing"),
        ("nmae = 'd'\n" + SPACE, "name", "is missing (keys here: nmae)"),
        ("name = 'd'\n" + SPACE, "task", "is missing"),
        (HEAD, "[space] optimizer", "is missing"),
        (HEAD + "[space]\noptimisers = 'sgd'", "[space] optimizer", "(keys here: optimisers)"),
        # what is not known
        (HEAD + "sed = 1\n" + SPACE, "sed", "no such key; did you mean 'seed'? allowed: "),
        (HEAD + SPACE + "bach_size = 8", "[space] bach_size", "did you mean 'batch_size'?"),
        (HEAD + SPACE + "[search]\ntrial = 8", "[search] trial", "did you mean 'trials'?"),
        (HEAD + SPACE + "[training]\nepoch = 8", "[training] epoch", "did you mean 'epochs'?"),
        (HEAD + SPACE + "[objective]\nmetrik = ''", "[objective] metrik", "mean 'metric'?"),
        (HEAD + SPACE + "[trainnig]\nx = 1", "trainnig", "did you mean 'training'?"),
        (HEAD + SPACE + "[ranges.optimiser.x]", "[ranges] optimiser", "mean 'optimizer'?"),
        # texts
        ("name = 1\ntask = 't.py:t'\n" + SPACE, "name", "must be a text, not 1"),
        ("name = 'a/b'\ntask = 't.py:t'\n" + SPACE, "name", "a name of letters, digits, '.'"),
        ("name = ''\ntask = 't.py:t'\n" + SPACE, "name", "'' does not read as a name"),
        ("name = 'd'\ntask = 'task.py'\n" + SPACE, "task", "'file.py:function' or 'package"),
        (HEAD + "question = 1\n" + SPACE, "question", "must be a text, not 1"),
        (HEAD + "storage = true\n" + SPACE, "storage", "must be a text, not True"),
        # one of a few
        (HEAD + "compare = 'optimiser'\n" + SPACE, "compare", "did you mean 'optimizer'? allowed"),
        (HEAD + "compare = 1\n" + SPACE, "compare", "one of optimizer, scheduler, regularizer"),
        (
            HEAD + "compare = 'regularizer'\n" + SPACE,
            "[space] regularizer",
            "must name at least one: compare = 'regularizer'",
        ),
        (
            HEAD + SPACE + "[training]\nprecision = 'fp16'",
            "[training] precision",
            "'fp16' is not known; did you mean 'bf16'? allowed: bf16, float32, float64",
        ),
        (
            HEAD + SPACE + "[objective]\ndirection = 'up'",
            "[objective] direction",
            "'up' is not known; allowed: maximize, minimize",
        ),
        (
            HEAD + SPACE + "[training]\ndevice = 'gpu'",
            "[training] device",
            "'gpu' does not read as a device: auto, cpu, mps, cuda or cuda:N",
        ),
        (HEAD + SPACE + "[training]\ndevice = 'cuda:'", "[training] device", "cuda or cuda:N"),
        # whole numbers
        (HEAD + "seed = -1\n" + SPACE, "seed", "must be at least 0, not -1"),
        (HEAD + "seed = 1.5\n" + SPACE, "seed", "a whole number of at least 0, not 1.5"),
        (HEAD + "seed = false\n" + SPACE, "seed", "a whole number of at least 0, not False"),
        (HEAD + SPACE + "[search]\ntrials = 0", "[search] trials", "at least 1, not 0"),
        (HEAD + SPACE + "[search]\ntrials = '9'", "[search] trials", "at least 1, not '9'"),
        (HEAD + SPACE + "[training]\nepochs = 0", "[training] epochs", "at least 1, not 0"),
        (HEAD + SPACE + "[training]\nepochs = 1.0", "[training] epochs", "at least 1, not 1.0"),
        (HEAD + SPACE + "[training]\naccumulate = 0", "[training] accumulate", "at least 1"),
        (HEAD + SPACE + "[training]\nthreads = 0", "[training] threads", "at least 1, not 0"),
        # durations
        (
            HEAD + SPACE + "[search]\ntime_limit = 'soon'",
            "[search] time_limit",
            "'soon' is no duration; write seconds, or 90s, 10m, 1h30m",
        ),
        (HEAD + SPACE + "[search]\ntime_limit = 0", "[search] time_limit", "above 0, not 0"),
        (HEAD + SPACE + "[search]\ntime_limit = nan", "[search] time_limit", "is no duration"),
        (HEAD + SPACE + "[search]\ntime_limit = true", "[search] time_limit", "is no duration"),
        (
            HEAD + SPACE + "[training]\ncheckpoint_every = -1",
            "[training] checkpoint_every",
            "must be at least 0, not -1",
        ),
        # component names
        (HEAD + "[space]\noptimizer = []", "[space] optimizer", "must name at least one"),
        (HEAD + "[space]\noptimizer = 1", "[space] optimizer", 'names or "all", not 1'),
        (HEAD + "[space]\noptimizer = ['a', 1]", "[space] optimizer", "a list of names"),
        (HEAD + "[space]\noptimizer = ['a', 'b', 'a']", "[space] optimizer", "names a twice"),
        (HEAD + SPACE + "scheduler = []", "[space] scheduler", "must name at least one"),
        # the batch size
        (HEAD + SPACE + "batch_size = 0", "[space] batch_size", "at least 1, not 0"),
        (HEAD + SPACE + "batch_size = [8, 0.5]", "[space] batch_size", "at least 1, not 0.5"),
        (HEAD + SPACE + "batch_size = true", "[space] batch_size", "at least 1, not True"),
        (HEAD + SPACE + "batch_size = 'big'", "[space] batch_size", "at least 1, not 'big'"),
        (HEAD + SPACE + "batch_size = []", "[space] batch_size", "must not be empty"),
        (
            HEAD + SPACE + "batch_size = { low = 64, high = 8 }",
            "[space] batch_size",
            "the range is inverted: low 64 is above high 8",
        ),
        (
            HEAD + SPACE + "batch_size = { low = 0, high = 8, log = true }",
            "[space] batch_size",
            "a log scale needs low above 0, not 0",
        ),
        (HEAD + SPACE + "batch_size = { low = 8 }", "[space] batch_size", "lacks 'high'"),
        (HEAD + SPACE + "batch_size = { low = 8.0, high = 9.0 }", "[space] batch_size", "not 8.0"),
        (
            HEAD + SPACE + "batch_size = { low = 8, hihg = 9 }",
            "[space] batch_size",
            "no key 'hihg'; did you mean 'high'?",
        ),
        # tables and choices
        ("space = 1\n" + HEAD, "space", "must be a table [space], not 1"),
        (HEAD + "ranges = 1\n" + SPACE, "ranges", "must be a table [ranges], not 1"),
        (HEAD + SPACE + "[ranges]\noptimizer = 1", "[ranges] optimizer", "[ranges.optimizer]"),
        (
            HEAD + SPACE + "[ranges.optimizer]\nlr = 0.1",
            "[ranges] optimizer.lr",
            "must be a table of parameters ([ranges.optimizer.COMPONENT]), not 0.1",
        ),
        (HEAD + SPACE + "[search]\nstrategy = 1", "[search] strategy", "must be a name or {name"),
        (HEAD + SPACE + "[search]\npruner = {}", "[search] pruner", 'a name or {name = "…", …}'),
        (
            HEAD + SPACE + "[search]\npruner = { name = 'median', warmup = [1] }",
            "[search] pruner.warmup",
            "must be a number, a text or a truth, not [1]",
        ),
        # what TOML knows and a study does not
        (HEAD + "seed = 2024-01-01\n" + SPACE, "seed", "not 2024-01-01"),
        (
            HEAD + SPACE + "[ranges.optimizer.adamw]\nlr = [07:32:00]",
            "ranges.optimizer.adamw.lr",
            "not 07:32:00",
        ),
    ],
)
def test_what_no_study_can_be_is_refused_by_file_and_key(tmp_path, text, key, message):
    file = study_file(tmp_path, text)

    with pytest.raises(SpecError) as caught:
        load_study(file)

    assert str(caught.value).startswith(f"{file}, {key}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "is no TOML: Invalid value"),
        (b"name = 'a'\nname = 'b'", "is no TOML: Cannot overwrite"),
        (b"name = '\xff'", "cannot be read: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "study.toml"
    file.write_bytes(content)

    with pytest.raises(SpecError) as caught:
        load_study(file)

    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_missing_study_is_answered_with_the_nearest_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "moons"):
        (tmp_path / "studies" / name).mkdir(parents=True)
        study_file(tmp_path / "studies" / name, LEAST)

    with pytest.raises(SpecError, match=r"no such study file; did you mean 'studies/digits'\?"):
        load_study("studies/digit")


def test_a_missing_study_where_there_are_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SpecError, match=r"^digits\.toml: no such study file$"):
        load_study("digits.toml")


@pytest.mark.parametrize(
    ("setting", "read", "expected"),
    [
        ("training.epochs=5", lambda s: s.epochs, 5),
        ("training.epochs = 5", lambda s: s.epochs, 5),
        ("name=other", lambda s: s.name, "other"),
        ("name='other'", lambda s: s.name, "other"),
        ("question=is a=b?", lambda s: s.question, "is a=b?"),
        ("search.time_limit=10m", lambda s: s.time_limit_s, 600.0),
        ("space.batch_size=[8, 16]", lambda s: s.batch_size, OneOf((8, 16))),
        ("space.batch_size={low=8, high=16}", lambda s: s.batch_size, Int(8, 16)),
        ("space.optimizer=sgd", lambda s: s.components["optimizer"], ("sgd",)),
        ("search.strategy.name=random", lambda s: s.strategy, Choice("random")),
        ("ranges.model.width=64", lambda s: s.overrides, {"model": {"width": 64}}),
        (
            "ranges.optimizer.'acme.lion'.lr=0.1",
            lambda s: s.overrides,
            {"optimizer": {"acme.lion": {"lr": 0.1}}},
        ),
    ],
)
def test_a_setting_replaces_what_the_file_says(tmp_path, setting, read, expected):
    spec = load_study(study_file(tmp_path, LEAST), [setting])

    assert read(spec) == expected


def test_of_two_settings_of_one_key_the_last_holds(tmp_path):
    spec = load_study(study_file(tmp_path, LEAST), ["seed=1", "seed=2"])

    assert spec.seed == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "--set epochs: write section.key=value, for example training.epochs=5"),
        ("=5", "--set =5: write section.key=value"),
        ("name.first=5", "--set name.first=5: 'name' is a value, not a table"),
        ("a b=5", "--set a b=5: 'a b' is no key"),
        ("training..epochs=5", "--set training..epochs=5: 'training..epochs' is no key"),
        ("seed=2024-01-01", "--set seed=2024-01-01: must be a number, a text"),
        ("training.epochs=many", "study.toml, [training] epochs: must be a whole number"),
        ("training.epochs=", "study.toml, [training] epochs: must be a whole number"),
        ("training.epoch=5", "study.toml, [training] epoch: no such key; did you mean 'epochs'"),
        ("training=5", "study.toml, training: must be a table [training], not 5"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path, setting, message):
    file = study_file(tmp_path, LEAST)

    with pytest.raises(SpecError) as caught:
        load_study(file, [setting])

    assert message in str(caught.value)


def test_a_study_given_as_a_dict_is_read_like_a_file_and_left_as_it_was():
    data = {
        "name": "d",
        "task": "t.py:t",
        "space": MappingProxyType({"optimizer": ("adamw", "sgd")}),
        "search": {"time_limit": None},
    }

    spec = parse_study(data, source="dict", settings=["space.optimizer=['sgd']"])

    assert spec.components["optimizer"] == ("sgd",)
    assert spec.time_limit_s is None
    assert data["space"]["optimizer"] == ("adamw", "sgd")


def test_a_dict_with_what_no_toml_holds_is_refused_by_key():
    data = {"name": "d", "task": "t.py:t", "space": {"optimizer": {"adamw"}}}

    with pytest.raises(SpecError, match=r"^dict, space\.optimizer: must be a number"):
        parse_study(data, source="dict")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("1.5s", 1.5),
        (" 10m ", 600.0),
        ("1h30m", 5400.0),
        ("1h2m3s", 3723.0),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_text(value, seconds):
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "s", "1h30", "30m1h", "-5s", "1 h", "1d", True, None, math.inf, [5], date(2024, 1, 1)],
)
def test_what_reads_as_no_duration_is_refused(value):
    with pytest.raises(ParamError, match="is no duration; write seconds, or 90s, 10m, 1h30m"):
        parse_duration(value)


def test_a_verdict_is_on_the_studys_metric_unless_said_otherwise(tmp_path):
    assert load_study(study_file(tmp_path, LEAST)).judging == Judging(
        metric=None, scale=None, margin=0.01, baseline="adam", seeds=40
    )


def test_the_verdict_can_be_said_otherwise(tmp_path):
    settings = [
        'verdict.metric="accuracy"',
        'verdict.scale="plain"',
        "verdict.margin=0.005",
        'verdict.baseline="none"',
        "verdict.seeds=160",
    ]
    spec = load_study(study_file(tmp_path, LEAST), settings)

    assert spec.judging == Judging(
        metric="accuracy", scale="plain", margin=0.005, baseline="none", seeds=160
    )


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("verdict.margin=0", r"\[verdict\] margin: must be above 0, not 0"),
        ("verdict.margin=true", r"\[verdict\] margin: must be a number above 0, not True"),
        ("verdict.margin=inf", r"\[verdict\] margin: must be above 0, not inf"),
        ("verdict.seeds=9", r"\[verdict\] seeds: must be at least 10, not 9"),
        ('verdict.scale="ln"', r"\[verdict\] scale: 'ln' is not known"),
        ("verdict.margins=1", r"\[verdict\] margins: no such key; did you mean 'margin'"),
    ],
)
def test_a_wrong_verdict_setting_is_named(tmp_path, setting, says):
    with pytest.raises(SpecError, match=says):
        load_study(study_file(tmp_path, LEAST), [setting])


def test_trials_are_shared_equally_unless_said_otherwise(tmp_path):
    file = study_file(tmp_path, LEAST)

    assert load_study(file).allocation == "equal"
    assert "[search] allocation" not in load_study(file).settings()
    leaders = load_study(file, ['search.allocation="leaders"'])
    assert leaders.settings()["[search] allocation"] == "leaders"
    with pytest.raises(SpecError, match=r"\[search\] allocation: 'leader' is not known"):
        load_study(file, ['search.allocation="leader"'])
