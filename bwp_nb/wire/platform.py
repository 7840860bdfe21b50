"""What Python in a browser cannot do."""

import sys


def refuse_in_browser(what: str) -> None:
    """Raise `NotImplementedError` in a browser, whose Python has no sockets, threads or processes."""
    if sys.platform == "emscripten":
        raise NotImplementedError(
            f"{what} does not work in a browser, where Python has no sockets, threads or processes;"
            " use JupyterLab on your computer."
        )
