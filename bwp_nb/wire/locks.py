"""Locks that a forked process finds free."""

import os
import threading
import weakref

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
