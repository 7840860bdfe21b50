"""Live credentials typed into a notebook, for one who does not set them in the environment."""

from typing import Any

import ipywidgets as widgets

from bwp_nb import settings
from bwp_nb.client import Client
from bwp_nb.connection import connect, live_client

_LABELS = {"BWP_CLIENT_ID": "Client ID", "BWP_CLIENT_SECRET": "Client secret", "BWP_TARGET_ID": "Target ID"}


class CredentialsForm:
    """Fields for the live API's credentials, which are neither stored in the notebook nor in the environment.

    `connect()` returns a live client that uses them, and clears them; while all fields are empty it does the same as
    `bwp.connect()`.
    """

    def __init__(self) -> None:
        look: dict[str, Any] = {"layout": {"width": "40em"}, "style": {"description_width": "8em"}}
        self._boxes = {name: widgets.Password(description=label, **look) for name, label in _LABELS.items()}

    def __repr__(self) -> str:
        return "CredentialsForm()"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**widgets.VBox([*self._boxes.values()])._repr_mimebundle_(**kwargs), "text/plain": repr(self)}

    def connect(self) -> Client:
        """Return a client with what is in the fields, and clear them.

        Returns
        -------
        Client
            A live client; while all fields are empty, that of `bwp.connect()`.

        Raises
        ------
        InvalidSettings
            If a field is missing or malformed.
        """
        if not any(box.value for box in self._boxes.values()):
            return connect()
        try:
            return live_client(settings.live({name: box.value for name, box in self._boxes.items()}))
        finally:
            for box in self._boxes.values():
                box.value = ""
