"""The pytest plugin: fixtures for the tests of a shop. Nothing else of the package is loaded until one is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import bwp_nb as bwp

if TYPE_CHECKING:
    from bwp_nb.checks.arrivals import Arrivals
    from bwp_nb.sandbox.server import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for hints that do not matter to a project."""
    parser.addini("bwp_ignore_hints", "fields for which bwp_arrivals has no hints, such as clientType", type="args")


@pytest.fixture
def bwp_sandbox() -> "bwp.Sandbox":
    """A new sandbox: `bwp_sandbox.accepted` and `bwp_sandbox.rejected` are the events of this test."""
    return bwp.Sandbox(latency=0)


@pytest.fixture
def bwp_client(bwp_sandbox: "bwp.Sandbox") -> "Iterator[bwp.Client]":
    """A client of `bwp_sandbox`, in this process and without a network."""
    with bwp.connect(bwp_sandbox) as client:
        yield client


@pytest.fixture
def bwp_server(bwp_sandbox: "bwp.Sandbox") -> "Iterator[Server]":
    """`bwp_sandbox`, served on this machine: `bwp_server.endpoint` and `.token_endpoint` are its addresses."""
    with bwp.serve(bwp_sandbox) as server:
        yield server


@pytest.fixture
def bwp_arrivals(bwp_sandbox: "bwp.Sandbox", pytestconfig: pytest.Config) -> "Arrivals":
    """What arrives at `bwp_sandbox`: `bwp_arrivals.assert_valid()` fails if an event is not accepted or has hints."""
    from bwp_nb.checks.arrivals import Arrivals

    return Arrivals(bwp_sandbox, ignore_hints=pytestconfig.getini("bwp_ignore_hints"))
