"""The loop of an upload: begin or go on, send what is missing, wait for what becomes of it.

After any failure the portal is asked anew how much it has: nothing is assumed, and nothing that it has is
sent again. Chunks are as long as the line is fast, so that a cut costs seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engineshed_packages.errors import Unavailable
from engineshed_packages.progress import Show
from engineshed_packages.transport import HttpRefused
from engineshed_packages.uploads.memory import Memory, SentFile
from engineshed_packages.uploads.patience import Patience
from engineshed_packages.uploads.portal import Pending, Published, UploadPortal

FIRST_CHUNK_BYTES = 1024 * 1024
LEAST_CHUNK_BYTES = 256 * 1024
MOST_CHUNK_BYTES = 16 * 1024 * 1024
QUICK_S, SLOW_S = 3.0, 15.0  # a chunk that takes less is doubled next time, one that takes more is halved
INGEST_WAIT_S = 3600.0
FIRST_LOOK_S, MOST_LOOK_S = 0.1, 2.0
_GONE = (404, 410)
_ASK_ANEW = (409, 423, 460)
_NAME_CHARS = 200


def next_chunk_bytes(chunk_bytes: int, took_s: float) -> int:
    """How long the next chunk is, after one of *chunk_bytes* that took *took_s*."""
    if took_s < QUICK_S:
        return min(MOST_CHUNK_BYTES, chunk_bytes * 2)
    return max(LEAST_CHUNK_BYTES, chunk_bytes // 2) if took_s > SLOW_S else chunk_bytes


def send_file(
    portal: UploadPortal,
    path: Path,
    *,
    memory: Memory,
    patience: Patience,
    tell: Callable[[str], None],
    show: Show,
) -> Published:
    """Upload the bundle at *path* and wait until the portal has taken it in.

    Args:
        tell: told what a person should know, in sentences.
        show: told how much of how much the portal has.

    Raises:
        Unavailable: patience is over; the same call goes on from where it was.
        HttpRefused: the portal refuses the token, the upload, or the bundle (``problem`` says why).
        Conflict: code ``file-changed``. OSError: the file cannot be read.
    """
    sending = _Sending(portal, SentFile.of(path), memory=memory, patience=patience, tell=tell, show=show)
    try:
        return sending.run()
    except KeyboardInterrupt:
        tell(f"stopped: the same command goes on with {path.name}")
        raise


class _Sending:
    def __init__(
        self,
        portal: UploadPortal,
        file: SentFile,
        *,
        memory: Memory,
        patience: Patience,
        tell: Callable[[str], None],
        show: Show,
    ) -> None:
        self._portal = portal
        self._file = file
        self._memory = memory
        self._patience = patience
        self._tell = tell
        self._show = show
        self._upload_id = memory.recall(portal.base_url, file)
        self._offset: int | None = None
        self._shown = 0
        self._chunk_bytes = FIRST_CHUNK_BYTES

    def run(self) -> Published:
        """Step by step, until the last one."""
        outcome: Published | HttpRefused | None = None
        while outcome is None:
            try:
                outcome = self._step()
            except Unavailable as err:
                self._patience.after(err)
                self._offset = None
            except HttpRefused as err:
                self._bear(err)
        self._memory.forget(self._portal.base_url, self._file)
        if isinstance(outcome, HttpRefused):
            raise outcome
        return outcome

    def _step(self) -> Published | HttpRefused | None:
        if self._upload_id is None:
            self._begin()
        elif self._offset is None:
            self._offset = self._portal.ask_offset(self._upload_id)
            self._patience.allow()
            self._showing(self._offset)
        elif self._offset < self._file.length_bytes:
            self._send(self._upload_id, self._offset)
        else:
            return self._await_outcome(self._upload_id)
        return None

    def _bear(self, err: HttpRefused) -> None:
        """Go on after a refusal that is no last word, else raise it."""
        if err.status in _ASK_ANEW:
            self._patience.after(err)
            self._offset = None
        elif err.status in _GONE and self._upload_id is not None:
            self._tell("the portal does not know this upload any more: it begins anew")
            self._memory.forget(self._portal.base_url, self._file)
            self._upload_id = self._offset = None
        else:
            raise err

    def _begin(self) -> None:
        file = self._file
        name = "".join(sign for sign in file.path.name if sign.isprintable() and sign not in "/\\")
        self._upload_id = self._portal.begin(
            name[:_NAME_CHARS] or "bundle.zip", length_bytes=file.length_bytes
        )
        self._offset = 0
        self._patience.allow()
        try:
            self._memory.keep(self._portal.base_url, file, upload_id=self._upload_id)
        except OSError as err:
            self._tell(f"a second start will begin anew: {err.filename} cannot be written: {err.strerror}")

    def _send(self, upload_id: str, offset: int) -> None:
        self._file.check_unchanged()
        began_s = time.monotonic()
        self._offset = self._portal.send(
            upload_id,
            self._file.path,
            offset_bytes=offset,
            length_bytes=min(self._chunk_bytes, self._file.length_bytes - offset),
            progress=lambda sent: self._showing(offset + sent),
        )
        self._patience.progress()
        self._chunk_bytes = next_chunk_bytes(self._chunk_bytes, time.monotonic() - began_s)

    def _showing(self, position: int) -> None:
        if position > self._shown:  # what is sent again is no progress
            self._shown = position
            self._show(position, self._file.length_bytes)

    def _await_outcome(self, upload_id: str) -> Published | HttpRefused:
        look_s, waited_s = FIRST_LOOK_S, 0.0
        while True:
            outcome = self._portal.ask_outcome(upload_id)
            if not isinstance(outcome, Pending):
                return outcome
            if outcome.waits_for is not None:
                self._patience.after(outcome.waits_for)
                continue
            if waited_s > INGEST_WAIT_S:
                raise Unavailable("upload-waits", f"after {waited_s:.0f} s the bundle is not taken in yet")
            self._patience.progress()  # it is at work, or next
            self._patience.pause(look_s)
            waited_s += look_s
            look_s = min(MOST_LOOK_S, look_s * 1.5)
