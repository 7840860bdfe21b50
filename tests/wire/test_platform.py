"""What a browser cannot do: it is refused in one sentence, and nothing else is attempted."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

import bwp_nb as bwp
from bwp_nb.wire.transport import DeadlineTransport

REFUSED: dict[str, Callable[[], object]] = {
    "A live connection": DeadlineTransport,
    "send_table with more than one worker": lambda: bwp.send_table(bwp.connect(), bwp.traffic.shop_day(5)),
}

#: A run with one worker where no thread can be started and tornado is missing; tqdm's monitor would be a thread.
ONE_WORKER = """
import sys, threading
sys.modules["tornado"] = None
import pandas, tqdm.auto, bwp_nb as bwp
from bwp_nb.tables import sender
def refuse(thread):
    raise AssertionError(f"{thread} was started")
threading.Thread.start = refuse
sys.platform = "emscripten"
print(bwp.send_table(bwp.connect(), bwp.traffic.shop_day(300, invalid_rate=0), workers=1).counts["sent"])
"""


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_browser_cannot_do_says_so(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence names what was asked for, the reason, and where it works."""
    monkeypatch.setattr(sys, "platform", "emscripten")
    with pytest.raises(
        NotImplementedError, match=f"^{re.escape(what)} needs .*, which a browser lacks; run it [^.]*[.]$"
    ):
        REFUSED[what]()


def test_one_worker_needs_no_thread() -> None:
    """With its progress bar."""
    ran = subprocess.run([sys.executable, "-c", ONE_WORKER], capture_output=True, text=True, check=True)
    assert "300\n" == ran.stdout
