"""A shop that sends what its shoppers do to the Buy with Prime API."""

import logging
import time
import uuid
from datetime import UTC, datetime

import httpx

MUTATION = "mutation ($input: SendUserEventInput!) { sendUserEvents(input: $input) { status } }"


class Analytics:
    """Sends events; a failure is logged, and does not keep a shopper from shopping."""

    def __init__(self, endpoint: str, token_endpoint: str, client_id: str, client_secret: str, target_id: str) -> None:
        self._endpoint = endpoint
        self._token_endpoint = token_endpoint
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._target_id = target_id
        self._token, self._renewed = "", float("-inf")

    def added_to_cart(self, sku: str) -> None:
        """Send that a shopper has put a product into the cart."""
        self._send("click", {"product_sku": sku})

    def viewed_order(self, url: str) -> None:
        """Send that a shopper has seen the review page of an order."""
        self._send("page-load", {"current_url": url, "page_type": "checkout"})

    def _send(self, event_type: str, properties: dict[str, str]) -> None:
        event = {
            "eventType": event_type,
            "eventId": str(uuid.uuid4()),
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "clientType": "SERVER_CLIENT",
            "clientVersion": "1.0",
            "additionalProperties": {
                "additionalProperties": [{"property": name, "value": value} for name, value in properties.items()]
            },
        }
        try:
            body = {"query": MUTATION, "variables": {"input": {"events": [event]}}}
            httpx.post(self._endpoint, json=body, headers=self._headers()).raise_for_status()
        except httpx.HTTPError as error:
            logging.warning("An event was not sent: %s", error)

    def _headers(self) -> dict[str, str]:
        if time.monotonic() > self._renewed + 14 * 60:  # a token is valid for 15 minutes
            form = {"grant_type": "client_credentials", **self._credentials}
            self._token = httpx.post(self._token_endpoint, data=form).raise_for_status().json()["access_token"]
            self._renewed = time.monotonic()
        return {
            "Authorization": f"Bearer {self._token}",
            "x-api-target-id": self._target_id,
            "x-api-version": "2024-11-01",
        }
