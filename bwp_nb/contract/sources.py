"""The documentation's pages, by the short names that rules and comments use."""

import re

_ROOT = "https://documents.buywithprime.amazon.com/bwp-api"

#: Each page's address. A part of each could be read; what lies beyond is unknown here.
PAGES = {
    "MUT": f"{_ROOT}/docs/analytics-mutations-senduserevents",
    "UE": f"{_ROOT}/v2024-01-01/docs/analytics-objects-userevent",
    "SEND": f"{_ROOT}/v2024-04-01/docs/send-user-events-for-buy-with-prime",
    "SCH-new": f"{_ROOT}/docs/user-event-schema",
    "SCH-old": f"{_ROOT}/v2024-01-01/docs/analytics-event-schema",
    "IFACE": f"{_ROOT}/docs/analytics-interface",
    "TRB": f"{_ROOT}/docs/troubleshoot-analytics-errors",
    "CALL": f"{_ROOT}/docs/call-the-buy-with-prime-api",
    "AUTH": f"{_ROOT}/docs/authenticate-to-the-buy-with-prime-api",
    "EVT": f"{_ROOT}/docs/troubleshoot-events",
    "SBX": f"{_ROOT}/docs/troubleshoot-sandbox-errors",
    "SRT": f"{_ROOT}/docs/analytics-mutations-startreporttask",
    "PRIV": f"{_ROOT}/docs/privacy-mutations-startpersonaldatadeletiontask",
}

_NAME = re.compile(rf"\b({'|'.join(sorted(PAGES, key=len, reverse=True))})\b")


def pages(text: str) -> list[str]:
    """Return the addresses of the pages that a text names by their short names."""
    return list(dict.fromkeys(PAGES[name] for name in _NAME.findall(text)))
