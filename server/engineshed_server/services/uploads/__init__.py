"""Uploads that may be interrupted: bytes come in pieces, in any process, and count when they are durable.

``opening``     a new upload, when its length, the number of open ones and the disk allow it
``owning``      who may see one; finding, listing and ending it; holding it against everybody else
``receiving``   bytes come in
``outcome``     what became of one, as it is kept
``ingesting``   what is complete is taken in, once, by whichever process gets to it
``sweeping``    what nobody goes on with is removed

The row is the truth. The lock on the file says whether somebody is at it: it ends with the process that
holds it, so a row that says ``ingesting`` while nobody holds the lock tells of a killed process, and the
next one takes over (ADR 9).
"""
