"""The format: what the vendor, the portal and the updater agree on. Neither the server nor the client is imported here.

`__version__` is the version of the whole distribution; setup.cfg reads it from here, and no other file repeats it.
"""

__version__ = "0.1.0"
