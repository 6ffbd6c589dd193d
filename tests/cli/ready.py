"""A Python that has the libraries imported already and forks for every command it is given.

Half of the time of a short command goes into importing torch and SQLAlchemy. Here it is spent once:
``python -m automl_opt`` begins in a process of its own, in which nothing of ours is imported yet.
The other end of the socket sends a request and two open files, and is sent the process' number and,
when it has ended, its exit code. ``ready.py SOCKET`` ends with the socket.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import socket
import sys

LIBRARIES = ("alembic.command", "optuna.storages", "scipy.stats", "sqlalchemy.orm", "torch.func")


def main(requests: socket.socket) -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # a child that ends would look through all of it for garbage
    while True:
        told, files, _, _ = socket.recv_fds(requests, 1 << 20, 2)
        if not told:
            return
        pid = os.fork()
        if not pid:
            requests.close()
            begin(json.loads(told), *files)
            return
        for file in files:
            os.close(file)
        requests.sendall(f"{pid}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        requests.sendall(f"{code}\n".encode())


def begin(request: dict, out: int, err: int) -> None:
    """Be the process that ``python -m automl_opt ARGUMENTS`` starts."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [os.getcwd(), *before]
    importlib.invalidate_caches()
    sys.argv = ["automl_opt", *request["arguments"]]
    runpy.run_module("automl_opt", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
