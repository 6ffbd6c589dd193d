"""Ctrl-C and SIGTERM as a wish to stop after the running epoch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Set by the first signal; truthy from then on."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def graceful_stop() -> Iterator[Stop]:
    """Inside, the first Ctrl-C or SIGTERM only sets the yielded :class:`Stop`; the second acts.

    Outside the main thread, where Python takes no signal handlers, nothing is caught.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # None is the handler of a program that embeds Python: there is no way to give it back
    before = {n: signal.getsignal(n) or signal.SIG_DFL for n in SIGNALS}

    def first(number: int, frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in SIGNALS:
        signal.signal(number, first)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
