"""The portal, as one engine may use it: poll, report, metadata, packages.

    portal = Portal(credentials, settings=settings, paths=paths, fs=fs, seen=seen, now=now)
    answer = portal.poll(poll)

Invariants: the secret goes to ``/api/v1/token`` of the engine's own portals only; the access token that
it buys is kept in memory and sent to the address it came from only, never along a redirect. A 401 buys a
new token once; when that is refused too, the portal does not know this engine any more.
Nothing that is downloaded counts as genuine here: the core verifies it.

Every address of the portal is tried, the one that answered last first; those from before an order replaced
them come last, until a new one has answered. Trouble of all of them is
``PortalUnavailable``: a portal that is down, slow, overloaded or answers nonsense, which is never the
engine's ill health.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

from engineshed_client.errors import (
    EnrolmentRefused,
    NotApproved,
    PortalUnavailable,
    Refused,
    SettingsRefused,
    client_boundary,
)
from engineshed_client.fsops import FsOps
from engineshed_client.paths import Paths
from engineshed_client.seen import Seen, SeenFile
from engineshed_client.settings import Settings
from engineshed_client.throttle import Received, Throttle
from engineshed_packages import __version__
from engineshed_packages.enrolment import EnrolAnswer, TokenAnswer, TokenRequest
from engineshed_packages.errors import FileRefused, MetadataRefused, Missing, ProtocolRefused, SourceRefused
from engineshed_packages.files import read_limited
from engineshed_packages.metadata import View, open_view, verify_view
from engineshed_packages.protocol import MAX_ANSWER_BYTES, Poll, PollAnswer, Report, ReportAnswer
from engineshed_packages.sources import TARGETS_FOLDER, HttpSource
from engineshed_packages.target import Target
from engineshed_packages.transport import HttpClient, HttpRefused

logger = logging.getLogger(__name__)

USER_AGENT = f"engineshed-client/{__version__}"
MAX_ROOT_BYTES = 1024 * 1024
SMALL_DEADLINE_S = 60  # for one poll, report, token or file of metadata, however slowly the portal dribbles
METADATA_DEADLINE_S = 300  # for one look at all of the vendor's metadata
_RENEW_EARLY_S = 60
_DOWNLOAD_GRACE_S = 600
_SLOWEST_BYTES_PER_S = 16 * 1024  # a download slower than that is given up, and resumed by the next try
_KIB = 1024
_UNAUTHORISED = 401
_WAITING = "engine-waiting"  # the portal's code, see docs/protocol.md

Answer = TypeVar("Answer")


def http_client(ca_file: Path | None) -> HttpClient:
    """The client's way over HTTP: small headers, so that a poll stays below one kilobyte.

    Raises:
        SettingsRefused: there is no such file of CAs.
    """
    if ca_file is not None and not ca_file.is_file():
        raise SettingsRefused([f"ca_file {ca_file} does not exist, expected the CA's certificate as PEM"])
    return HttpClient(
        ca_file=None if ca_file is None else str(ca_file), user_agent=USER_AGENT, deadline_s=SMALL_DEADLINE_S
    )


def read_trusted_root(settings: Settings) -> bytes:
    """The vendor's root metadata that came with the updater; never a portal's.

    Raises:
        SettingsRefused: it is not there or cannot be read.
    """
    try:
        return read_limited(settings.trusted_root, MAX_ROOT_BYTES)
    except FileRefused as err:
        fault = f"trusted_root: {err.message}; it comes from the vendor, with the updater"
        raise SettingsRefused([fault]) from err


@dataclass(frozen=True, slots=True)
class _Token:
    """An access token, good until *ends* on the monotonic clock."""

    text: str
    ends: float


class Portal:
    """One engine's portal.

    Args:
        credentials: who the engine is, its secret, and the portal's addresses.
        now: the host's clock, aware UTC.
    """

    def __init__(
        self,
        credentials: EnrolAnswer,
        *,
        settings: Settings,
        paths: Paths,
        fs: FsOps,
        seen: SeenFile,
        now: Callable[[], datetime],
    ) -> None:
        self._credentials = credentials
        self._settings = settings
        self._paths = paths
        self._fs = fs
        self._seen = seen
        self._now = now
        self._client = http_client(settings.ca_file)
        self._portals = list(settings.portals or credentials.portals)
        self._former = [url for url in credentials.former_portals if url not in self._portals]
        self._answered_by: str | None = None
        self._tokens: dict[str, _Token] = {}
        self._etags: dict[str, str] = {}
        self._portal_time: datetime | None = None

    @property
    def answered_by(self) -> str | None:
        """The address that answered last; None before the first time."""
        return self._answered_by

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def show_identity(self) -> datetime | None:
        """Show the portal who this engine is; the portal's clock, None when it does not tell.

        Raises:
            PortalUnavailable, EnrolmentRefused: as for ``poll``.
        """
        self._tokens.clear()
        self._each(lambda url: self._authorised(url, lambda token: None))
        return self._portal_time

    def poll(self, poll: Poll) -> PollAnswer:
        """Ask for news: one request.

        Raises:
            PortalUnavailable: later; ``retry_after_s`` when the portal said when.
            EnrolmentRefused: the portal does not know this engine, or has revoked it.
            Refused: the portal does not take this poll, and said why.
        """
        return self._each(lambda url: self._post(url, "poll", poll.to_bytes(), read=PollAnswer.from_bytes))

    def send_report(self, report: Report) -> None:
        """Send *report*; return when it was acknowledged.

        Raises:
            PortalUnavailable, EnrolmentRefused: as for ``poll``.
            NotApproved: the portal takes none before its admin has approved this engine.
            Refused: the portal will never take this report.
        """
        body = report.to_bytes()
        self._each(lambda url: self._post(url, "reports", body, read=ReportAnswer.from_bytes))

    def open_view(self) -> View:
        """Fetch and verify the vendor's metadata, and keep what was seen.

        Raises:
            PortalUnavailable: it could not be fetched.
            ContentRefused: it is unsigned, a stranger's, expired or older than what was seen.
            SettingsRefused, DiskTrouble: the trusted root or the disk.
        """
        root = read_trusted_root(self._settings)
        seen = self._seen.load()

        def fetch(url: str) -> View:
            source = HttpSource(self._client, self._repository(url), deadline_s=SMALL_DEADLINE_S)
            try:
                return self._verified(source, root, seen)
            except MetadataRefused as err:
                if err.code != "metadata-signature":
                    raise
                # The portal may have published new keys between two of our requests.
                return self._verified(source, root, seen)

        view = self._each(fetch)
        after = seen.with_view(view, self._settings.product)
        if after != seen:
            self._seen.save(after)
        return view

    def try_out(self) -> None:
        """Prove that this updater is let in and verifies what the portal hands out; nothing is kept.

        Raises:
            As ``open_view`` and ``send_report``.
        """
        root, seen = read_trusted_root(self._settings), self._seen.load()

        def ask(url: str) -> None:
            self._authorised(url, lambda token: None)
            verify_view(
                HttpSource(self._client, self._repository(url), deadline_s=SMALL_DEADLINE_S),
                cache=self._paths.metadata,
                trusted_root=root,
                now=self._now(),
                seen=seen.metadata,
                deadline_s=METADATA_DEADLINE_S,
            )

        self._each(ask)

    def _repository(self, url: str) -> str:
        return f"{url}/repo/v1/{self._credentials.repository}"

    def _verified(self, source: HttpSource, root: bytes, seen: Seen) -> View:
        return open_view(
            source,
            cache=self._paths.metadata,
            trusted_root=root,
            now=self._now(),
            seen=seen.metadata,
            deadline_s=METADATA_DEADLINE_S,
        )

    def download(self, target: Target, part: Path, *, progress: Callable[[int, int], None]) -> None:
        """Fetch the package of *target* into *part*, going on where it ends, until all bytes are there.

        Raises:
            PortalUnavailable: *part* keeps what arrived.
            EnrolmentRefused, NotApproved: as for ``send_report``.
            DiskTrouble: *part* cannot be written.
        """

        def fetch(url: str) -> None:
            self._authorised(url, lambda token: self._download_from(url, target, part, token, progress))

        self._each(fetch)

    def read_part(self, target: Target, *, start: int, length: int) -> bytes:
        """At most *length* bytes of the package of *target*, from its byte *start*; nothing proves them.

        Raises:
            PortalUnavailable: it could not be fetched.
            EnrolmentRefused, NotApproved: as for ``send_report``.
        """

        def fetch(url: str) -> bytes:
            package = f"{self._repository(url)}/{TARGETS_FOLDER}/{target.download_name}"
            return self._authorised(
                url,
                lambda token: self._client.read_part(package, start=start, length=length, token=token),
            )

        return self._each(fetch)

    def _download_from(
        self, url: str, target: Target, part: Path, token: str, progress: Callable[[int, int], None]
    ) -> None:
        total = target.length_bytes
        with self._fs.open_update(part) as file:
            offset = file.seek(0, 2)
            arrived = self._paced(offset, progress)
            result = self._client.download(
                f"{self._repository(url)}/{TARGETS_FOLDER}/{target.download_name}",
                file,
                expected_bytes=total,
                offset=offset,
                etag=self._etags.get(target.sha256),
                token=token,
                deadline_s=_DOWNLOAD_GRACE_S + total / self._slowest_bytes_per_s,
                progress=lambda position: arrived(position, total),
            )
        if result.etag is not None:
            self._etags[target.sha256] = result.etag

    def _paced(self, at: int, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """*progress*, slowed down to what the administrator allows."""
        if self._settings.max_rate_kib is None:
            return progress
        throttle = Throttle(self._settings.max_rate_kib * _KIB, clock=time.monotonic, sleep=time.sleep)
        received = Received(at, progress)

        def arrived(position: int, total: int) -> None:
            before = received.number
            received(position, total)
            throttle.passed(received.number - before)

        return arrived

    @property
    def _slowest_bytes_per_s(self) -> float:
        """A download slower than that is given up."""
        rate = self._settings.max_rate_kib
        return _SLOWEST_BYTES_PER_S if rate is None else min(_SLOWEST_BYTES_PER_S, rate * _KIB / 2)

    def _each(self, ask: Callable[[str], Answer]) -> Answer:
        """Ask the addresses one after the other; the first that answers comes first from now on."""
        trouble = PortalUnavailable("no-portal", "no portal is configured: enrol this base first")
        for url in [*self._portals, *self._former]:
            try:
                with _portal_boundary():
                    answer = ask(url)
            except PortalUnavailable as err:
                logger.info("portal unavailable", extra={"portal": url, "code": err.code})
                trouble = err
                continue
            self._answered_by = url
            if url in self._portals:  # a former one never goes before those that replace it
                self._portals.remove(url)
                self._portals.insert(0, url)
            return answer
        raise trouble

    def _post(self, url: str, name: str, body: bytes, *, read: Callable[[bytes], Answer]) -> Answer:
        def send(token: str) -> bytes:
            return self._client.post_json(
                f"{url}/api/v1/{name}", body, token=token, max_bytes=MAX_ANSWER_BYTES
            ).body

        return read(self._authorised(url, send))

    def _authorised(self, url: str, send: Callable[[str], Answer]) -> Answer:
        """Send with a token; a token that is not taken any more is renewed once."""
        token = self._tokens.get(url)
        if token is not None and time.monotonic() < token.ends:
            try:
                return send(token.text)
            except HttpRefused as err:
                if err.status != _UNAUTHORISED:
                    raise
        try:
            return send(self._renew(url).text)
        except HttpRefused as err:
            self._tokens.pop(url, None)
            if err.status != _UNAUTHORISED or err.problem is None:
                raise
            raise EnrolmentRefused(
                err.problem,
                f"the portal does not accept this engine ({err.message}): "
                "ask its admin for a new enrolment line, and run engineshed-client enrol --again with it",
            ) from err

    def _renew(self, url: str) -> _Token:
        request = TokenRequest(engine=self._credentials.engine, secret=self._credentials.secret)
        said = self._client.post_json(f"{url}/api/v1/token", request.to_bytes(), max_bytes=MAX_ANSWER_BYTES)
        answer = TokenAnswer.from_bytes(said.body)
        self._portal_time = _read_date(said.headers.get("date"))
        early_s = min(_RENEW_EARLY_S, answer.expires_s / 2)
        token = _Token(text=answer.access_token, ends=time.monotonic() + answer.expires_s - early_s)
        self._tokens[url] = token
        return token


def _read_date(text: str | None) -> datetime | None:
    """The time in a ``Date`` header; None where there is none that can be read."""
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


@contextmanager
def _portal_boundary() -> Iterator[None]:
    """Turn what the other side did wrong into ``PortalUnavailable``, and let only our own errors out.

    A problem+json with a code is the portal's own word; any other refusal may come from something in
    between, as a captive portal, and is tried again later.
    """
    with client_boundary():
        try:
            yield
        except HttpRefused as err:
            if err.problem is None:
                raise PortalUnavailable(err.code, err.message) from err
            if err.problem == _WAITING:
                raise NotApproved(err.problem, err.message) from err
            raise Refused(err.problem, err.message) from err
        except (SourceRefused, ProtocolRefused, Missing) as err:
            raise PortalUnavailable(err.code, err.message) from err
