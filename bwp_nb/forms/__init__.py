"""Events made by hand."""

from bwp_nb.forms.form import EventForm
from bwp_nb.forms.panel import SandboxPanel

__all__ = ["EventForm", "SandboxPanel"]
