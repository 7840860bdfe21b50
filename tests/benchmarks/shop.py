"""A fixed data set: events with ten properties, of about 0.9 kB each, as the server of a busy shop sends them.

It is generated, so that the repository need not contain megabytes; `DIGEST` is that of its first thousand rows, and a
test compares it. Only the random bits of Python's generator are used: their sequence never changes for a seed.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any

from bwp_nb.event import EVENT_TYPES

#: The SHA-256 of the first thousand rows as JSON, a line each.
DIGEST = "dd25ad6d176c62b33f6ce6e0cd7a2fe6d02c5bdac0f4d6eb6fd68c50ad8b8af8"

_START = datetime(2024, 11, 22, 9, tzinfo=UTC)
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{} Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/{}.{}.{} Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{} Mobile Safari/537.36",
)
_PAGES = ("home", "search", "product", "cart", "checkout", "confirmation")


def rows() -> Iterator[dict[str, str]]:
    """Yield events without end, as rows of a table: the fields by our names, then the ten properties."""
    bits = random.Random(20241122).getrandbits  # noqa: S311  # makes up data
    for number in range(2**32):
        if number % 6 == 0:
            shopper = _shopper(bits)
        sku = f"SKU-{bits(20):07d}"
        moment = _START + timedelta(milliseconds=137 * number)
        page = _PAGES[bits(8) % len(_PAGES)]
        yield {
            "event_type": EVENT_TYPES[bits(2)],
            "event_id": _uuid(bits(128)),
            "event_time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "client_type": "SERVER_CLIENT",
            "client_version": "4.12.0",
            **shopper,
            "currentUrl": f"https://shop.example/{page}/{sku}?ref=nav_{bits(10)}&qid={bits(32)}",
            "referrer": f"https://search.example/results?q=item+{bits(16)}&page={bits(3)}",
            "product_sku": sku,
            "page_type": page,
            "prime_promise_timestamp": str(int(moment.timestamp() * 1000) + bits(16)),
            "experiment": f"delivery-badge-{bits(3)}",
        }


def _shopper(bits: Any) -> dict[str, str]:
    """Return the properties that a shopper keeps for several events."""
    return {
        "ip": f"198.51.{bits(8)}.{bits(8)}",
        "ubid": f"{bits(9):03d}-{bits(23):07d}-{bits(23):07d}",
        "userAgent": _AGENTS[bits(8) % len(_AGENTS)].format(100 + bits(5), bits(13), bits(8)),
        "session_id": f"{bits(128):032x}",
    }


def _uuid(bits: int) -> str:
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def keywords(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as the keywords of a `UserEvent`."""
    values = list(row.items())
    return {**dict(values[:5]), "additional_properties": dict(values[5:])}


def digest() -> str:
    """Return the SHA-256 of the first thousand rows as JSON, a line each."""
    lines = (json.dumps(row) + "\n" for row in islice(rows(), 1000))
    return sha256("".join(lines).encode()).hexdigest()
