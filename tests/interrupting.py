"""Interrupt a client again and again while it sends: `python -m tests.interrupting ENDPOINT TOKENS COUNT BURST`.

Prints what it saw as JSON. A process of its own, so that a test can give up on one that hangs.
"""

import gc
import json
import random
import signal
import sys
from types import FrameType
from typing import Any

import bwp_nb as bwp
from bwp_nb.wire.auth import Credentials, Secret, TokenAuth
from bwp_nb.wire.platform import Clock
from bwp_nb.wire.retries import Retries
from bwp_nb.wire.transport import DeadlineTransport

#: The longest time before an interrupt, in seconds: a little longer than a send takes.
LONGEST = 0.004

#: The time between the interrupts of a burst: short enough to meet the first one's cleaning up.
BETWEEN = 0.0001


def interrupted(client: bwp.Client, count: int, burst: int, chance: random.Random) -> dict[str, Any]:
    """Interrupt sends `count` times; after each send that was cut short, another must get its own response."""
    seen: dict[str, Any] = {"interrupts": 0, "raised": 0, "wrong": 0, "errors": []}
    left, code = 0, bwp.Client.send.__code__

    def interrupt(_: int, frame: FrameType | None) -> None:
        nonlocal left
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        if frame is not None and left > 0:
            left -= 1
            seen["interrupts"] += 1
            raise KeyboardInterrupt

    def send() -> None:
        event = client.new_event("click")
        try:
            seen["wrong"] += client.send(event).notes != (event.event_id,)
        except bwp.BwpError as error:
            seen["errors"].append(str(error))

    send()  # so that all is imported
    gc.freeze()
    signal.signal(signal.SIGALRM, interrupt)
    while seen["interrupts"] < count:
        left = burst
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, LONGEST), BETWEEN if burst > 1 else 0)
        try:
            send()
        except KeyboardInterrupt:
            seen["raised"] += 1
        left = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.collect()  # Python drops an interrupt of the finalizer of a socket whose making was interrupted before
        send()
    return seen


def main(endpoint: str, tokens: str, count: str, burst: str) -> None:
    """Print what a client saw that was interrupted."""
    transport = DeadlineTransport()
    auth = TokenAuth(Credentials("id", Secret("a"), "bp-1"), tokens, transport, Clock())
    retries = Retries(attempts=2, first_wait=0.001)
    with bwp.Client(transport, endpoint, auth=auth, retries=retries, timeout=20.0) as client:
        print(json.dumps(interrupted(client, int(count), int(burst), random.Random(1))))  # noqa: S311


if __name__ == "__main__":
    main(*sys.argv[1:])
