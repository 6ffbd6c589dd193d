"""Opens a new storage again and again, and is killed before each statement that writes in turn.

    killed_opening.py FOLDER

The database of the run that is killed at statement N is FOLDER/N.db; the last run ends.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from automl_opt.search.arms import storage_at


def main(folder: str) -> None:
    with storage_at("sqlite://"):
        pass  # what is imported late is imported now, once
    for last in itertools.count(1):
        child = os.fork()
        if child == 0:
            _open(f"sqlite:///{folder}/{last}.db", last)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return


def _open(url: str, last: int) -> None:
    statements = itertools.count(1)

    def kill(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        if not statement.lstrip().startswith(("PRAGMA", "SELECT")) and next(statements) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", kill)
    with storage_at(url):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
