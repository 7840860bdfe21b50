"""The pages of the documentation, by their titles.

A text of this package that cites a page puts its title in quotation marks: documented in “User Event Schema”.
"""

import re

_ROOT = "https://documents.buywithprime.amazon.com/bwp-api"

#: The address of each page that this package cites. Only the first part of each could be read.
PAGES = {
    "sendUserEvents": f"{_ROOT}/docs/analytics-mutations-senduserevents",
    "UserEvent": f"{_ROOT}/v2024-01-01/docs/analytics-objects-userevent",
    "Send User Events": f"{_ROOT}/v2024-04-01/docs/send-user-events-for-buy-with-prime",
    "User Event Schema": f"{_ROOT}/docs/user-event-schema",
    "Analytics Event Schema": f"{_ROOT}/v2024-01-01/docs/analytics-event-schema",
    "Analytics Interface": f"{_ROOT}/docs/analytics-interface",
    "Troubleshoot Analytics Errors": f"{_ROOT}/docs/troubleshoot-analytics-errors",
    "Call the Buy with Prime API": f"{_ROOT}/docs/call-the-buy-with-prime-api",
    "Authenticate to the Buy with Prime API": f"{_ROOT}/v2024-04-01/docs/authenticate-to-the-buy-with-prime-api",
    "Troubleshoot Events": f"{_ROOT}/docs/troubleshoot-events",
    "Troubleshoot Sandbox Errors": f"{_ROOT}/docs/troubleshoot-sandbox-errors",
    "Troubleshoot Order Errors": f"{_ROOT}/docs/troubleshoot-order-errors",
    "startReportTask": f"{_ROOT}/docs/analytics-mutations-startreporttask",
    "reportTask": f"{_ROOT}/docs/analytics-queries-reporttask",
    "startPersonalDataDeletionTask": f"{_ROOT}/docs/privacy-mutations-startpersonaldatadeletiontask",
}

#: A page's title as texts cite it.
CITED = re.compile(f"“({'|'.join(map(re.escape, PAGES))})”")


def pages(text: str) -> list[str]:
    """Return the addresses of the pages that a text cites, each once."""
    return list(dict.fromkeys(PAGES[title] for title in CITED.findall(text)))
