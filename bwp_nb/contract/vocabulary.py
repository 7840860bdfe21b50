"""The values and names that the documentation gives for the fields and properties of an event."""

#: The client types in “User Event Schema”.
CLIENT_TYPES = ("WEBSITE_CLIENT", "SERVER_CLIENT")

#: The event types in “User Event Schema”. Whether the API refuses others is unknown, so they are not refused here.
EVENT_TYPES = ("page-load", "click", "widget-viewed", "bwp-widget-promise-loaded")

#: Additional properties in “Send User Events”, “sendUserEvents” and “User Event Schema”; others can be sent as well.
PROPERTY_NAMES = (
    "ip",
    "ubid",
    "userAgent",
    "currentUrl",
    "current_url",
    "referrer",
    "product_sku",
    "prime_promise_timestamp",
    "page_type",
)
