"""What arrived at a sandbox, in bounded memory."""

import json
from collections import deque
from typing import Any

#: What a sandbox keeps: its events by what happened to them, and the requests that they came in.
KINDS = ("accepted", "duplicates", "rejected", "requests")

_BYTES_PER_ENTRY = 4096


class Log:
    """The latest entries of a kind: at most `keep` of them, of 4 KiB each on average; older ones are only counted."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._bytes_left = keep * _BYTES_PER_ENTRY
        self._entries: deque[bytes] = deque()
        self.dropped = 0

    @property
    def total(self) -> int:
        """The number of entries so far, including those that were dropped."""
        return len(self._entries) + self.dropped

    def add(self, entry: bytes) -> None:
        """Add an entry, which is JSON, and drop the oldest ones beyond the limits."""
        self._entries.append(entry)
        self._bytes_left -= len(entry)
        while len(self._entries) > self._keep or self._bytes_left < 0:
            self._bytes_left += len(self._entries.popleft())
            self.dropped += 1

    def entries(self) -> list[Any]:
        """Return the entries that are kept; changing them changes nothing here."""
        return [json.loads(entry) for entry in self._entries.copy()]
