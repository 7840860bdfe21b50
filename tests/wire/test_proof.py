"""Nothing is called sent that an independent reading of the response does not prove."""

import json
import random
from typing import Any

import httpx
import pytest

from bwp_nb import BwpError, MutationRejected, Receipt
from bwp_nb.wire.answer import Answer, receipt
from tests.strategies import event

#: Responses that are judged, in as many parts as there are seeds.
FUZZED = 20_000
SEEDS = 8

STATUSES = [200, 201, 204, 250, 294, 299, 300, 303, 307, 308, 400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503]
NAMES = ["data", "errors", "extensions", "sendUserEvents", "status", "message", "classification", "type", "x", ""]
KINDS = ["ValidationError", "AccessDeniedError", "ThrottlingError", "InternalServerError", "ConflictError", "New"]
TEXTS = ["successful", "Successful", "failed", "accepted", "", "eventTime 2023 is invalid", *KINDS]
STATES = {"sent", "rejected", "failed", "unknown"}


def _value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return {chance.choice(NAMES): _value(chance, depth + 1) for _ in range(chance.randrange(4))}
    if kind == 7:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    return (None, True, chance.choice(TEXTS), chance.choice(TEXTS), chance.randrange(600), 1.5)[kind]


def _answer(chance: random.Random) -> Any:
    """Return a response that is nearly one of the documented ones."""
    answer: dict[str, Any] = {"data": {"sendUserEvents": {"status": "successful"}}}
    if chance.random() < 0.5:
        found = {"type": chance.choice(KINDS), "errorCode": chance.choice([400, 403, 429, 500])}
        answer = {"errors": [{"message": chance.choice(TEXTS), "extensions": {"classification": found}}]}
        answer |= chance.choice([{}, {"data": {"sendUserEvents": None}}, {"data": None}])
    for _ in range(chance.randrange(3)):
        place: Any = answer
        while chance.random() < 0.6 and (inner := [value for value in place.values() if isinstance(value, dict)]):
            place = chance.choice(inner)
        place[chance.choice(NAMES)] = _value(chance)
    return answer


def _content(chance: random.Random) -> bytes:
    """Return the bytes of a response: as a rule right, sometimes in another encoding, cut, repeated or changed."""
    text = json.dumps(_answer(chance))
    how = chance.randrange(12)
    if how == 0:
        return text.encode(chance.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-be"]))
    if how == 1:
        return text[: chance.randrange(len(text) + 1)].encode()
    if how == 2:
        return text.replace("{", '{"status": "successful", ', 1 + chance.randrange(2)).encode()
    if how == 3:
        place = chance.randrange(len(text))
        return text[:place].encode() + bytes([chance.randrange(256)]) + text[place + chance.randrange(2) :].encode()
    return text.encode()


def _proves(status_code: int, content: bytes) -> bool:
    """Whether a response proves acceptance, read as lists of pairs, which keep repeated names."""
    if not 200 <= status_code < 300:
        return False
    try:
        pairs = json.loads(content.decode("utf-8"), object_pairs_hook=lambda found: ("object", found))
    except ValueError:
        return False

    def member(value: Any, name: str) -> list[Any]:
        is_object = isinstance(value, tuple) and value[0] == "object"
        return [found for key, found in value[1] if key == name] if is_object else []

    def repeats(value: Any) -> bool:
        if isinstance(value, tuple):
            names = [name for name, _ in value[1]]
            return len(names) != len(set(names)) or any(repeats(found) for _, found in value[1])
        return isinstance(value, list) and any(map(repeats, value))

    status = [
        found
        for data in member(pairs, "data")
        for out in member(data, "sendUserEvents")
        for found in member(out, "status")
    ]
    errors = [found for found in member(pairs, "errors") if found not in (None, [])]
    return status == ["successful"] and not errors and not repeats(pairs) and b"NaN" not in content


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_called_sent_without_proof(seed: int) -> None:
    """And what is proof is called sent: responses of every kind, judged by two readings."""
    chance = random.Random(seed)  # noqa: S311
    sent = [event(event_id="a", event_time="2023"), event(event_id="b")]
    kinds = set()
    for _ in range(FUZZED // SEEDS):
        status_code, content = chance.choice(STATUSES), _content(chance)
        answer = Answer.read(httpx.Response(status_code, content=content))
        try:
            found: Receipt | BwpError = receipt(answer, 2, lambda: [one.input for one in sent])
        except BwpError as error:
            found = error
        assert found.state in STATES
        assert (found.state == "sent") == _proves(status_code, content), (status_code, content)
        if isinstance(found, MutationRejected):
            assert 2 == len(found.states)
        kinds.add(found.state)
    assert kinds >= {"sent", "failed", "unknown"}
