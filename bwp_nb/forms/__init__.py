"""Events made by hand, with ipywidgets: a form that edits, checks and sends them, and a panel that controls a sandbox.

Its interface: `CredentialsForm`, `EventForm`, `SandboxPanel`.
"""

from bwp_nb.displays.short_errors import extra

with extra("forms"):
    from bwp_nb.forms.credentials import CredentialsForm
    from bwp_nb.forms.form import EventForm
    from bwp_nb.forms.panel import SandboxPanel

__all__ = ["CredentialsForm", "EventForm", "SandboxPanel"]
