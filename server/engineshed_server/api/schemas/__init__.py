"""What goes over the wire, as marshmallow schemas by topic: they check, write and document it.

An answer's schema reads the attributes of a frozen dataclass of the services; every field of it is in every
answer, null where there is nothing. A request's schema makes a frozen dataclass and refuses unknown fields.
The command line writes its ``--json`` with the same answer schemas.
"""
