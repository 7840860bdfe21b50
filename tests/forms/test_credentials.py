"""Credentials typed on a page: used once, shown nowhere, stored nowhere."""

import json
from typing import Any

import pytest

import bwp_nb as bwp
from bwp_nb.forms import CredentialsForm

SECRET = "a-client-secret-to-hide"  # noqa: S105


def _typed(**values: str) -> Any:
    """Return a form in which some fields are filled."""
    form = CredentialsForm()
    for name, value in values.items():
        form._boxes[name].value = value
    return form


def test_what_is_typed_makes_a_live_client_and_is_cleared() -> None:
    """The documented addresses, the typed target; a question before the first send."""
    form = _typed(BWP_CLIENT_ID="an-id", BWP_CLIENT_SECRET=SECRET, BWP_TARGET_ID="bp-1")
    with form.connect() as client:
        assert client.sandbox is None
        assert "https://api.buywithprime.amazon.com/graphql for the store bp-1" == client.target
        assert client.confirm is not None
    assert {""} == {box.value for box in form._boxes.values()}


def test_empty_fields_mean_the_settings() -> None:
    """Without settings, the sandbox."""
    assert CredentialsForm().connect().sandbox is not None


def test_missing_or_malformed_credentials_are_an_error_without_the_secret() -> None:
    """The fields are cleared in that case too."""
    form = _typed(BWP_CLIENT_SECRET=SECRET, BWP_TARGET_ID="bp 1")
    with pytest.raises(bwp.InvalidSettings) as caught:
        form.connect()
    assert SECRET not in str(caught.value) + repr(caught.getrepr(showlocals=True))
    assert "BWP_CLIENT_ID is required" in str(caught.value)
    assert {""} == {box.value for box in form._boxes.values()}


def test_a_saved_display_has_no_secret() -> None:
    """Neither as text nor in the fields, which hide what is typed."""
    form = _typed(BWP_CLIENT_SECRET=SECRET)
    assert SECRET not in json.dumps(form._repr_mimebundle_()) + repr(form)
    assert {"PasswordView"} == {box._view_name for box in form._boxes.values()}
