"""Whether exported scripts end where they say, for every built-in optimizer.

``python benchmarks/verdict/export.py PYTHON [NAME …]``: *PYTHON* has torch and scikit-learn, and
nothing of ours; the names are those of optimizers, by default all. Each trains the study in
``studies/digits`` at its defaults with ten seeds, as many as a verdict has at least. Its script
then trains with another, and has to end inside the interval that those ten give.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from automl_opt.core.recipe import Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import load_study
from automl_opt.core.verdict import Score
from automl_opt.plugin.host import load_host
from automl_opt.study.export import script
from automl_opt.study.winner import Winner
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import open_engine
from automl_opt.training.task import load_task

SEEDS = 10
STUDY = Path(__file__).parents[2] / "studies" / "digits"
SCORE = Score(metric="loss", maximize=False, scale="log", margin=0.01)


def main() -> None:
    python, *names = sys.argv[1:]
    catalog = load_host(allow=()).catalog
    spec = replace(load_study(STUDY, ["training.epochs=5"]), direction="maximize")
    task = load_task(spec)
    inside = []
    for component in catalog.components("optimizer"):
        name = f"{component.spec.name}(sgd)" if component.wraps else component.spec.name
        if names and name not in names:
            continue
        recipe = Recipe(
            optimizer=catalog.whole("optimizer", name).part(),
            scheduler=catalog.whole("scheduler", "cosine").part(),
            initializer=catalog.whole("initializer", "default").part(),
            batch_size=32,
        )
        engine = open_engine(task, spec, TorchBuilder(catalog), recipe)
        values = []
        for i in range(SEEDS):
            seeds = replace(Seeds.of_trial(i, name, 0), split=i)
            trial = Trial(arm=name, number=i, trial_id=i, recipe=recipe, seeds=seeds)
            engine.admit(trial)
            while not engine.advance()[0].finished:
                pass
            values += [each.value for each in engine.retire(trial).test if each.metric == "loss"]
        what = Winner(
            title=name,
            recipe=recipe,
            score=SCORE,
            values=tuple(values),
            seeds=Seeds.of_trial(99, name, 0),
            recorded=None,
            maximize=True,
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.py"
            file.write_text(script(what, spec, catalog), "utf-8")
            done = subprocess.run([python, "-I", file], capture_output=True, text=True)
        inside.append(done.returncode == 0)
        print(f"{name}: {(done.stdout or done.stderr).strip().splitlines()[-1]}", flush=True)
    print(f"{sum(inside)} of {len(inside)} inside")


if __name__ == "__main__":
    main()
