"""The fields of a form are those of the schema."""

from bwp_nb.event import CLIENT_TYPES, LENGTHS, TEXT_FIELDS
from bwp_nb.forms.fields import fields


def test_the_fields_and_their_limits_are_those_of_an_event() -> None:
    """The schema, read for a form, agrees with what `UserEvent` checks."""
    found = fields()
    assert [*TEXT_FIELDS, "additional_properties"] == [field.name for field in found]
    assert {field.api_name: field.length for field in found if field.length} == LENGTHS
    assert {field.api_name: field.choices for field in found if field.choices} == {"clientType": CLIENT_TYPES}
    assert ["schema_name", "schema_version", "additional_properties"] == [f.name for f in found if not f.required]


def test_every_field_has_a_source() -> None:
    """A description and at least one source, with its certainty, for each."""
    for field in fields():
        assert field.description
        assert {"documented"} <= {source.partition(":")[0] for source in field.sources}
