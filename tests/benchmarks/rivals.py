"""Other trackers, with their own settings but for the size of a batch: each returns what sends rows of the data set."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice

Send = Callable[[list[dict[str, str]]], object]

#: The names of the packages, and how many times as many events a CPU second a table is to send.
TARGETS = {"snowplow_tracker": 2.7, "segment": 3.7, "posthog": 7.0}


def _properties(row: dict[str, str]) -> dict[str, str]:
    return dict(islice(row.items(), 5, None))


@contextmanager
def _snowplow(address: str, rows: int) -> Iterator[Send]:
    import requests
    from snowplow_tracker import Emitter, SelfDescribing, SelfDescribingJson, Tracker

    logging.getLogger("snowplow_tracker.emitters").setLevel(logging.WARNING)
    with requests.Session() as session:  # without one, each request would have a connection of its own
        tracker = Tracker("benchmark", Emitter(address, batch_size=50, buffer_capacity=rows, session=session))

        def send(given: list[dict[str, str]]) -> None:
            for row in given:
                content = SelfDescribingJson(f"iglu:example/{row['event_type']}/jsonschema/1-0-0", _properties(row))
                tracker.track(SelfDescribing(content))
            tracker.flush()

        yield send


@contextmanager
def _segment(address: str, rows: int) -> Iterator[Send]:
    from segment.analytics.client import Client

    client = Client("benchmark", host=address, max_queue_size=rows, upload_size=50)

    def send(given: list[dict[str, str]]) -> None:
        for row in given:
            client.track(row["ubid"], row["event_type"], _properties(row), message_id=row["event_id"])
        client.flush()

    try:
        yield send
    finally:
        client.join()


@contextmanager
def _posthog(address: str, rows: int) -> Iterator[Send]:
    from posthog import Posthog

    client = Posthog("benchmark", host=address, max_queue_size=rows, flush_at=50)

    def send(given: list[dict[str, str]]) -> None:
        for row in given:
            client.capture(
                row["event_type"], distinct_id=row["ubid"], properties=_properties(row), uuid=row["event_id"]
            )
        client.flush()

    try:
        yield send
    finally:
        client.shutdown()


def installed() -> dict[str, Callable[[str, int], "contextmanager[Send]"]]:
    """Return how to start each rival that is installed."""
    known = {"snowplow_tracker": _snowplow, "segment": _segment, "posthog": _posthog}
    return {name: start for name, start in known.items() if find_spec(name)}
