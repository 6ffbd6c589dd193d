"""Opens a database at the same moment as its twin: once both are ready; run by the tests."""

import sys
import time
from pathlib import Path

import alembic.command  # noqa: F401 (slow to import: not part of the race)

from automl_opt.store import Store

url, folder, me = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
(folder / f"ready-{me}").touch()
while len(list(folder.glob("ready-*"))) < 2:
    time.sleep(0.001)
Store.open(url).close()
