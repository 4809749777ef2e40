"""The format: what vendor, portal and updater agree on. Imports neither the server nor the client.

`__version__` is the version of the whole distribution; setup.cfg reads it from here, and no other file
repeats it.
"""

__version__ = "0.1.0"
