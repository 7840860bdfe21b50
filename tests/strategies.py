"""Events and texts that several test files share, and Hypothesis strategies for nearly valid ones."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from bwp_nb import UserEvent

#: The same examples on every run, so that a failure is always somebody's change.
PROPERTY = settings(derandomize=True, deadline=None, max_examples=250)

VALID: dict[str, Any] = {
    "event_type": "page-load",
    "event_id": "11c7e59a-d462-4254-bc7e-3e44528ef6d0",
    "event_time": "2023-12-03T10:15:30Z",
    "client_type": "WEBSITE_CLIENT",
    "client_version": "1.0",
}

GOOD_TIMES = [
    "2023-12-03T10:15:30Z",
    "2023-12-03T10:15:30.1Z",
    "2023-12-03T10:15:30.123456789Z",
    "2024-02-29T23:59:59.999Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
]

BAD_TIMES = [
    "",
    "2023",
    "2023-12-03",
    "2023-12-03T10:15Z",
    "2023-12-03T10:15:30",
    "2023-12-03T10:15:30+00:00",
    "2023-12-03T10:15:30-00:00",
    "2023-12-03T11:15:30+01:00",
    "2023-12-03T10:15:30ZZ",
    "2023-12-03T10:15:30z",
    "2023-12-03t10:15:30Z",
    "2023-12-03 10:15:30Z",
    "2023-12-03T10:15:60Z",
    "2016-12-31T23:59:60Z",
    "2023-12-03T24:00:00Z",
    "2023-12-03T10:60:30Z",
    "2023-02-29T10:15:30Z",
    "2023-02-30T10:15:30Z",
    "2023-13-03T10:15:30Z",
    "0000-12-03T10:15:30Z",
    "12023-12-03T10:15:30Z",
    "2023-12-03T10:15:30.1234567890Z",
    "2023-12-03T10:15:30.Z",
    "2023-12-03T10:15:30,5Z",
    "20231203T101530Z",
    "2023-W48-7T10:15:30Z",
    "２０２３-12-03T10:15:30Z",
    "2023-12-03T10:15:3٣Z",
    "2023-12-03T10:15:30.٣Z",
    "2023-12-03T10:15:30Z\n",
    " 2023-12-03T10:15:30Z",
]


def event(**changes: Any) -> UserEvent:
    """Return a valid event, but for the changes."""
    return UserEvent(**VALID | changes)


def _mutated(base: str, place: int, removed: int, inserted: str) -> str:
    place %= len(base) + 1
    return base[:place] + inserted + base[place + removed :]


def _at_border(border: int, astral: int, beside: int) -> str:
    astral = min(astral, border // 2)
    return "😀" * astral + "a" * (border - 2 * astral + beside)


#: Any text that UTF-8 can write.
texts = st.text()
_any_texts = texts | st.text(st.characters(categories=["Cs", "Lu"]), max_size=3)

_right_times = st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
_times = st.builds(
    _mutated,
    _right_times | st.sampled_from(GOOD_TIMES),
    st.integers(0, 29),
    st.integers(0, 1),
    st.sampled_from(["", *"0123456789", *"TtZz:.-+ \n٣３"]),
)
_lengths = st.builds(_at_border, st.sampled_from([3, 64, 256]), st.integers(0, 128), st.sampled_from([-1, 0, 0, 1]))
_client_types = st.sampled_from(
    ["WEBSITE_CLIENT", "SERVER_CLIENT", "WEB_CLIENT", "website_client", "SERVER_CLIENT\n", "ANDROID", "null", ""]
)
_perturbed = {
    "event_type": _lengths | _any_texts,
    "event_id": _any_texts,
    "event_time": _times | _right_times | st.sampled_from(GOOD_TIMES + BAD_TIMES) | texts,
    "client_type": _client_types,
    "client_version": _any_texts,
    "schema_name": _lengths | st.none(),
    "schema_version": _any_texts | st.none(),
    "additional_properties": st.dictionaries(_any_texts, _any_texts, max_size=3),
}


@st.composite
def nearly_valid_events(draw: st.DrawFn) -> UserEvent:
    """Return events of which one or two fields are valid, or nearly so."""
    names = draw(st.lists(st.sampled_from(sorted(_perturbed)), min_size=1, max_size=2, unique=True))
    return event(**{name: draw(_perturbed[name]) for name in names})


#: Events of any text at all in every field.
any_events = st.builds(
    UserEvent,
    event_type=texts,
    event_id=texts,
    event_time=texts,
    client_type=texts | st.sampled_from(["WEBSITE_CLIENT", "true", "false", "null", "a b", "1A", "_"]),
    client_version=texts,
    schema_name=st.none() | texts,
    schema_version=st.none() | texts,
    additional_properties=st.dictionaries(texts, texts, max_size=3),
)
