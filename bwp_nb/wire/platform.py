"""What Python in a browser cannot do."""

import json
import sys
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any


def refuse_in_browser(what: str) -> None:
    """Raise `NotImplementedError` in a browser, whose Python has no sockets, threads or processes."""
    if sys.platform == "emscripten":
        raise NotImplementedError(f"{what} needs sockets, threads or processes, which a browser lacks; run it locally.")


def read_json(body: bytes) -> Any:
    """Return what a JSON text contains; if it is nested too deeply, raise `RecursionError`, in a browser as well."""
    if sys.platform != "emscripten":
        return json.loads(body)
    decoder = json.JSONDecoder()
    decoder.scan_once = py_make_scanner(decoder)
    return decoder.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
