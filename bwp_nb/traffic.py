"""A made-up day of a shop's events, and its replay: data to work with before there is real traffic."""

import random
from datetime import UTC, datetime, timedelta

import pandas as pd

from bwp_nb.client import Client
from bwp_nb.errors import BwpError
from bwp_nb.event import EVENT_TYPES, UserEvent

#: When the day begins: the first instant of the sandbox's clock.
START = datetime(2024, 11, 22, 9, tzinfo=UTC)

_SHARES = (10, 15, 45, 30)
_FIELDS = ("event_type", "event_id", "event_time", "client_type", "client_version")

# The pages on which “User Event Schema” says that an event of each type happens; the names of the pages are made up,
# except `checkout`, which “Send User Events” shows.
_PAGES = {
    "page-load": ("checkout", "confirmation"),
    "click": ("product", "cart"),
    "widget-viewed": ("product", "cart"),
    "bwp-widget-promise-loaded": ("product",),
}


def shop_day(events: int = 300, *, seed: int = 0, invalid_rate: float = 0.05) -> pd.DataFrame:
    """Return the events of 24 hours of a made-up shop. All values are made up.

    Parameters
    ----------
    events : int, default 300
        The number of events.
    seed : int, default 0
        The same seed gives the same day.
    invalid_rate : float, default 0.05
        The share of events with a typical mistake, from 0 to 1: a time without its zone, or an abbreviated event type.

    Returns
    -------
    pandas.DataFrame
        One event in each row, in the order of their time. The columns are named like the fields of `UserEvent`; the
        others are additional properties.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> len(bwp.traffic.shop_day(20))
    20
    """
    chance = random.Random(seed)  # noqa: S311  # makes up data
    seconds = sorted(chance.triangular(0, 86_400, 36_000) for _ in range(events))
    rows = [_row(chance, START + timedelta(seconds=second)) for second in seconds]
    for row in chance.sample(rows, round(events * invalid_rate)):
        row.update(chance.choice(({"event_time": row["event_time"].removesuffix("Z")}, {"event_type": "pl"})))
    return pd.DataFrame(rows)


def replay(client: Client, day: pd.DataFrame, *, check: bool = True) -> "pd.Series[str]":
    """Send each row of a day as an event of its own, at its time on the client's clock.

    It is meant for a sandbox, whose clock does not wait. An event with an invalid time is sent at once.

    Parameters
    ----------
    client : Client
        The client that sends.
    day : pandas.DataFrame
        A table like that of `shop_day`.
    check : bool, default True
        Whether to refuse events that break a rule.

    Returns
    -------
    pandas.Series
        The state of each event.

    Examples
    --------
    >>> import bwp_nb as bwp
    >>> bwp.traffic.replay(bwp.connect(), bwp.traffic.shop_day(3, invalid_rate=0)).to_list()
    ['sent', 'sent', 'sent']
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


def user_event(row: dict[str, str]) -> UserEvent:
    """Return the event in a row of a day.

    Parameters
    ----------
    row : dict of str to str
        The row.

    Returns
    -------
    UserEvent
        The event.
    """
    properties = {name: value for name, value in row.items() if name not in _FIELDS}
    return UserEvent(**{name: row[name] for name in _FIELDS}, additional_properties=properties)


def _row(chance: random.Random, moment: datetime) -> dict[str, str]:
    event_type = chance.choices(EVENT_TYPES, _SHARES)[0]
    page, sku = chance.choice(_PAGES[event_type]), f"example-sku-{chance.randint(1, 40):02}"
    return {
        "event_type": event_type,
        "event_id": f"{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-4{chance.getrandbits(12):03x}-"
        f"8{chance.getrandbits(12):03x}-{chance.getrandbits(48):012x}",
        "event_time": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "client_type": "WEBSITE_CLIENT",
        "client_version": "1.0",
        "product_sku": sku,
        "page_type": page,
        "current_url": f"https://example.com/{page}/{sku}",
    }
