"""What depends on the platform: the clock, locks after a fork, and what Python in a browser cannot do."""

import json
import os
import sys
import threading
import time
import weakref
from datetime import UTC, datetime
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any

#: The names of this machine, to which nothing is encrypted and no proxy leads.
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Clock:
    """The computer's clock, which a sandbox or a test can replace."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; they never decrease."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait some seconds."""
        time.sleep(seconds)


_LOCKS: "weakref.WeakSet[threading.Lock]" = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is free in a forked process, even if another thread holds it in the parent."""
    lock = threading.Lock()
    _LOCKS.add(lock)
    return lock


def _free() -> None:
    for lock in _LOCKS:
        if lock.locked():
            lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)


def refuse_in_browser(what: str) -> None:
    """Raise `NotImplementedError` in a browser, whose Python has no sockets, threads or processes."""
    if sys.platform == "emscripten":
        raise NotImplementedError(f"{what} needs sockets, threads or processes, which a browser lacks; run it locally.")


def read_json(body: bytes) -> Any:
    """Return what a JSON text contains; if it is nested too deeply, raise `RecursionError`, in a browser as well."""
    if sys.platform != "emscripten":
        return json.loads(body)
    decoder = json.JSONDecoder()
    decoder.scan_once = py_make_scanner(decoder)
    return decoder.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
