"""`schema.graphql`: the contract, and the constants that repeat it."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from graphql import build_schema, get_directive_values

from bwp_nb.event import CLIENT_TYPES, LENGTHS, TEXT_FIELDS
from bwp_nb.mutation import MAX_EVENTS

SCHEMA = build_schema(files("bwp_nb").joinpath("contract/schema.graphql").read_text("utf-8"))


def _directive(node: Any, name: str) -> dict[str, Any] | None:
    return get_directive_values(SCHEMA.get_directive(name), node)  # type: ignore[arg-type]


def _definitions() -> Iterator[tuple[str, Any]]:
    """Yield every type, field, argument and enum value of ours by its path, but for `Certainty`."""
    for name, type_ in SCHEMA.type_map.items():
        if type_.ast_node is None or name == "Certainty":
            continue
        yield name, type_
        for field_name, field in (getattr(type_, "fields", None) or getattr(type_, "values", {})).items():
            yield f"{name}.{field_name}", field
            for argument_name, argument in getattr(field, "args", {}).items():
                yield f"{name}.{field_name}({argument_name})", argument


DEFINITIONS = dict(_definitions())
USER_EVENT = {path.removeprefix("UserEvent."): d for path, d in DEFINITIONS.items() if path.startswith("UserEvent.")}


def test_the_contract_is_whole() -> None:
    """These are its types; a new one is added here."""
    expected = [
        "AdditionalPropertiesInput",
        "AdditionalProperty",
        "ClientType",
        "Mutation",
        "Query",
        "SendUserEventInput",
        "SendUserEventOutput",
        "UserEvent",
    ]
    assert expected == sorted(path for path in DEFINITIONS if "." not in path)


@pytest.mark.parametrize("path", DEFINITIONS)
def test_every_definition_is_described(path: str) -> None:
    """The contract explains itself."""
    assert (DEFINITIONS[path].description or "").strip()


@pytest.mark.parametrize("path", DEFINITIONS)
def test_every_definition_says_where_it_comes_from(path: str) -> None:
    """Documented, inferred or unknown, with the page or the reasoning."""
    directives = [node for node in DEFINITIONS[path].ast_node.directives or () if node.name.value == "provenance"]
    assert directives
    assert all(node.arguments[1].value.value.strip() for node in directives)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Mutation.sendUserEvents", ["SendEventInput", "SendUserEventInput"]),
        ("AdditionalPropertiesInput.additionalProperties", ["current_url", "currentUrl"]),
        ("ClientType", ["WEB_CLIENT", "ANDROID", "IOS", "ClientType.WEBSITE_CLIENT"]),
        ("UserEvent.eventType", ["eventName"]),
        ("UserEvent.eventTime", ["timestamp"]),
        ("UserEvent.eventId", ["example-event-id"]),
    ],
)
def test_the_contradictions_of_the_documentation_are_noted_where_they_stand(path: str, words: list[str]) -> None:
    """Whoever finds the other name in a guide finds it here too."""
    assert all(f"`{word}`" in DEFINITIONS[path].description for word in words)


def test_the_lengths_are_those_of_the_contract() -> None:
    """Our checks and the schema's directives say the same."""
    limits = {name: _directive(field.ast_node, "length") for name, field in USER_EVENT.items()}
    assert LENGTHS == {name: (limit["min"], limit["max"]) for name, limit in limits.items() if limit}
    assert {"eventType": (3, 64), "schemaName": (3, 256)} == LENGTHS


def test_the_most_events_of_a_call_are_those_of_the_contract() -> None:
    """Fifty, in both places."""
    assert {"max": MAX_EVENTS} == _directive(DEFINITIONS["SendUserEventInput.events"].ast_node, "maxItems")
    assert 50 == MAX_EVENTS


def test_the_client_types_are_those_of_the_contract() -> None:
    """The enum's values, in its order."""
    assert CLIENT_TYPES == tuple(SCHEMA.type_map["ClientType"].values)  # type: ignore[attr-defined]


def test_the_text_fields_are_those_of_the_contract() -> None:
    """Every field of `UserEvent` but the properties, in its order."""
    assert [*TEXT_FIELDS.values(), "additionalProperties"] == list(USER_EVENT)
