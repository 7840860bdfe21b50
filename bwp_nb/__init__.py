"""Explore, document and use one GraphQL mutation: Amazon Buy with Prime's `sendUserEvents`."""

import lazy_loader

# The public names are in __init__.pyi; each module loads when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
