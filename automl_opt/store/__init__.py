"""Floor 4: what was measured, in SQL. Our ``hpo_*`` tables, beside Optuna's in one database."""

from automl_opt.store.rows import EpochRow, StudyRow, TrialRow, VerdictRow, VerdictRun
from automl_opt.store.store import Store

__all__ = ["EpochRow", "Store", "StudyRow", "TrialRow", "VerdictRow", "VerdictRun"]
