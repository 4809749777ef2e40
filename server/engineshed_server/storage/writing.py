"""Writing files that may be larger than memory: whole pieces, durable step by step.

    for piece in pieces:
        write_all(file, piece)
        if <CHECKPOINT_BYTES since the last time>:
            settle(file)

However large the file is, its writer takes the memory of one step (``files.drop_pages`` says why).
"""

from __future__ import annotations

import os
from typing import BinaryIO, TypeAlias

from engineshed_packages.files import drop_pages

Piece: TypeAlias = bytes | memoryview  # good until the next one is asked for

CHECKPOINT_BYTES = 16 * 1024 * 1024  # one step; a killed process loses at most so much of what it received


def write_all(file: BinaryIO, piece: Piece) -> None:
    """Write the whole of *piece* to the unbuffered *file*, which may take less at once."""
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def settle(file: BinaryIO) -> None:
    """Make durable what was written to the unbuffered *file*, and give back the memory that holds it.

    Raises:
        OSError: nothing since the last time counts: the kernel may have dropped it.
    """
    os.fsync(file.fileno())
    drop_pages(file)
