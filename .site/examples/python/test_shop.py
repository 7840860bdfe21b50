"""The tests of the shop; the fixtures whose names begin with bwp come with bwp_nb."""

import pytest
from shop import Analytics


@pytest.fixture
def analytics(bwp_server):
    """The shop's own code, pointed at the sandbox."""
    sandbox = bwp_server.sandbox
    return Analytics(
        bwp_server.endpoint,
        bwp_server.token_endpoint,
        sandbox.client_id,
        sandbox.client_secret,
        sandbox.target_id,
    )


def test_a_product_in_the_cart_is_a_click(analytics, bwp_sandbox, bwp_arrivals):
    """The event is accepted, has no hints, and names the product."""
    analytics.added_to_cart("example-sku")
    bwp_arrivals.assert_valid()
    (event,) = bwp_sandbox.accepted
    assert event["eventType"] == "click"
    assert {"property": "product_sku", "value": "example-sku"} in event["additionalProperties"]["additionalProperties"]


def test_a_failure_of_the_api_does_not_reach_the_shopper(analytics, bwp_sandbox):
    """The sandbox can simulate it."""
    bwp_sandbox.fail_next("http_503")
    analytics.viewed_order("https://shop.example/review")
    assert bwp_sandbox.accepted == []
