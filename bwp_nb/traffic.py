"""A made-up day of a shop's events, and its replay: something to look at before there is real traffic."""

import os
import random
import signal
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from bwp_nb.client import Client
from bwp_nb.connection import connect
from bwp_nb.errors import BwpError
from bwp_nb.event import EVENT_TYPES, UserEvent
from bwp_nb.sandbox.api import Sandbox
from bwp_nb.tables.bulk import send_table

#: When the day begins: the sandbox's own first instant.
START = datetime(2024, 11, 22, 9, tzinfo=UTC)

_SHARES = (60, 15, 15, 10)
_FIELDS = ("event_type", "event_id", "event_time", "client_type", "client_version")
_PAGES = ("product", "cart", "checkout", "thank-you")


def shop_day(events: int = 300, *, seed: int = 0, invalid_rate: float = 0.05) -> pd.DataFrame:
    """Return the events of 24 hours, one a row, in the order of their time; the same for the same seed.

    The columns are named as the fields of `UserEvent`, the rest are additional properties. The share `invalid_rate` of
    the rows has a mistake that shops make: a time without its zone, or an event type cut short. All values are made up.
    """
    chance = random.Random(seed)  # noqa: S311  # makes up data, guards nothing
    seconds = sorted(chance.triangular(0, 86_400, 36_000) for _ in range(events))
    rows = [_row(chance, START + timedelta(seconds=second)) for second in seconds]
    for row in chance.sample(rows, round(events * invalid_rate)):
        row.update(chance.choice(({"event_time": row["event_time"].removesuffix("Z")}, {"event_type": "pl"})))
    return pd.DataFrame(rows)


def replay(client: Client, day: pd.DataFrame, *, check: bool = True) -> "pd.Series[str]":
    """Send each row as an event of its own, at its time on the client's clock, and return the state that each ended in.

    Meant for a sandbox, whose clock does not make one wait; a time that cannot be read is sent at once.
    """
    states = []
    moments = pd.to_datetime(day["event_time"], utc=True, errors="coerce", format="ISO8601")
    for row, moment in zip(day.to_dict("records"), moments, strict=True):
        event = user_event({str(name): value for name, value in row.items()})
        client.clock.sleep(max(0.0, (moment - client.clock.now()).total_seconds()))
        try:
            states.append(client.send(event, check=check).state)
        except BwpError as error:
            states.append(error.state)
    return pd.Series(states, index=day.index, name="state")


def killed_run(source: str | Path, ledger: str | Path, *, requests: int = 6) -> int | None:
    """Begin to send a table to a sandbox, in a process that signal 9 kills during a request; return its exit code.

    The sandbox has accepted the events of that request, and the answer never comes.
    """
    process = get_context("spawn").Process(target=_send_until_killed, args=(str(source), str(ledger), requests))
    process.start()
    process.join()
    return process.exitcode


class _Deadly(Sandbox):
    """A sandbox that kills its own process instead of giving an answer."""

    def __init__(self, requests: int) -> None:
        super().__init__()
        self._left = requests

    def _graphql_answer(self, request: Any) -> Any:
        answer = super()._graphql_answer(request)
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # which Windows has under another name
        return answer


def _send_until_killed(source: str, ledger: str, requests: int) -> None:
    send_table(connect(_Deadly(requests)), source, ledger=ledger, workers=1, progress=False)


def user_event(row: dict[str, str]) -> UserEvent:
    """Return the event that a row of `shop_day` is."""
    properties = {name: value for name, value in row.items() if name not in _FIELDS}
    return UserEvent(**{name: row[name] for name in _FIELDS}, additional_properties=properties)


def _row(chance: random.Random, moment: datetime) -> dict[str, str]:
    sku = f"example-sku-{chance.randint(1, 40):02}"
    return {
        "event_type": chance.choices(EVENT_TYPES, _SHARES)[0],
        "event_id": f"{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-4{chance.getrandbits(12):03x}-"
        f"8{chance.getrandbits(12):03x}-{chance.getrandbits(48):012x}",
        "event_time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "client_type": "WEBSITE_CLIENT",
        "client_version": "1.0",
        "product_sku": sku,
        "page_type": chance.choice(_PAGES),
        "current_url": f"https://example.com/products/{sku}",
    }
