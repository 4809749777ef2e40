"""tus over HTTP: the protocol's own rules, who sees what, and what becomes of a bundle."""

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from engineshed_server.services.api_tokens import Scope
from engineshed_server.services.uploads.ingesting import ingest_next
from tests.server.api.conftest import UPLOAD_LIMIT_BYTES, PortalUnderTest
from tests.vendor import Vendor, twin_of

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {**TUS, "Content-Type": "application/offset+octet-stream"}


@dataclass
class Uploader:
    """One token's requests."""

    here: PortalUnderTest
    token: str

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        every = {"Authorization": f"Bearer {self.token}", **TUS, **named}
        return self.here.http.open(path, method=method, data=body, headers=every, buffered=True)

    def create(self, length: int, **headers: str) -> str:
        answer = self.ask("POST", "/api/v1/uploads", b"", Upload_Length=str(length), **headers)
        assert answer.status_code == 201, answer.data
        return answer.headers["Location"]

    def patch(self, path: str, body: bytes, *, offset: int, **headers: str) -> TestResponse:
        headers = {"Content_Type": BODY["Content-Type"], "Upload_Offset": str(offset), **headers}
        return self.ask("PATCH", path, body, **headers)

    def offset(self, path: str) -> int:
        return int(self.ask("HEAD", path).headers["Upload-Offset"])

    def send(self, data: bytes) -> str:
        path = self.create(len(data))
        assert self.patch(path, data, offset=0).status_code == 204
        return path


@pytest.fixture
def admin(here: PortalUnderTest) -> Uploader:
    return Uploader(here, here.token())


def _code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.data)["code"]


def _files(here: PortalUnderTest) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in here.portal.folders.incoming.iterdir()}


def _bundle(here: PortalUnderTest, version: str = "1.0.0") -> bytes:
    here.vendor.release(version)
    return here.vendor.bundle(version).read_bytes()


def test_a_bundle_in_pieces_is_published(here: PortalUnderTest, admin: Uploader) -> None:
    data = _bundle(here)
    path = admin.create(len(data))
    for start in range(0, len(data), 1000):
        answer = admin.patch(path, data[start : start + 1000], offset=start)
        assert answer.headers["Upload-Offset"] == str(min(start + 1000, len(data)))
    assert json.loads(admin.ask("GET", path).data)["state"] == "complete"
    assert ingest_next(here.portal, now=datetime.now(UTC))
    shown = json.loads(admin.ask("GET", path).data)
    assert (shown["state"], shown["result"]["code"]) == ("done", "published")
    assert shown["result"]["releases"] == [
        {"product": "sample-engine", "version": "1.0.0", "platforms": ["any"]}
    ]
    assert _files(here) == {}
    assert not ingest_next(here.portal, now=datetime.now(UTC))


def test_what_is_spoken_can_be_asked_without_a_token(here: PortalUnderTest) -> None:
    answer = here.http.options("/api/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,checksum,termination,expiration"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"
    assert answer.headers["Tus-Max-Size"] == str(UPLOAD_LIMIT_BYTES)


def test_the_location_is_a_path_that_any_proxy_lets_through(admin: Uploader) -> None:
    assert admin.create(5).startswith("/api/v1/uploads/upl_")


def test_head_tells_offset_length_metadata_and_is_not_cached(admin: Uploader) -> None:
    sent = f"filename {base64.b64encode('für alle.zip'.encode()).decode()},kind"
    path = admin.create(5, Upload_Metadata=sent)
    admin.patch(path, b"ab", offset=0)
    answer = admin.ask("HEAD", path)
    told = {name: answer.headers[name] for name in ("Upload-Offset", "Upload-Length", "Upload-Metadata")}
    assert told == {"Upload-Offset": "2", "Upload-Length": "5", "Upload-Metadata": sent}
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert json.loads(admin.ask("GET", path).data)["name"] == "für alle.zip"


def test_every_answer_tells_until_when_it_is_kept(admin: Uploader) -> None:
    path = admin.create(5)
    expires = [
        admin.ask("HEAD", path).headers["Upload-Expires"],
        admin.patch(path, b"a", offset=0).headers["Upload-Expires"],
    ]
    for text in expires:
        until = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
@pytest.mark.parametrize("version", ["", "0.2.2", "1.0"])
def test_another_version_of_the_protocol_is_refused_with_ours(
    admin: Uploader, method: str, version: str
) -> None:
    path = "/api/v1/uploads" if method == "POST" else admin.create(5)
    answer = admin.ask(method, path, Tus_Resumable=version, Upload_Length="5")
    assert (answer.status_code, answer.headers["Tus-Version"]) == (412, "1.0.0")


def test_every_answer_carries_the_version_also_a_refusal(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(5)
    every = [admin.ask("HEAD", path), admin.patch(path, b"x", offset=3), here.http.head(path)]
    assert [answer.headers["Tus-Resumable"] for answer in every] == ["1.0.0"] * 3


@pytest.mark.parametrize("length", ["", "-1", "1e3", "٣", "9" * 19])
def test_a_length_that_cannot_be_read_is_refused(admin: Uploader, length: str) -> None:
    answer = admin.here.http.post(
        "/api/v1/uploads", headers={"Authorization": f"Bearer {admin.token}", **TUS, "Upload-Length": length}
    )
    assert _code(answer) == (400, "upload-length-unreadable")


def test_a_length_that_comes_later_is_not_spoken(admin: Uploader) -> None:
    answer = admin.ask("POST", "/api/v1/uploads", Upload_Defer_Length="1")
    assert _code(answer) == (400, "upload-length-unreadable")


def test_an_upload_over_the_limit_is_refused_before_a_byte_comes(
    here: PortalUnderTest, admin: Uploader
) -> None:
    answer = admin.ask("POST", "/api/v1/uploads", Upload_Length=str(UPLOAD_LIMIT_BYTES + 1))
    assert _code(answer) == (413, "upload-too-large")
    assert json.loads(admin.ask("GET", "/api/v1/uploads").data) == {"uploads": []}


def test_an_empty_file_is_refused(admin: Uploader) -> None:
    assert _code(admin.ask("POST", "/api/v1/uploads", Upload_Length="0")) == (422, "upload-empty")


@pytest.mark.parametrize(
    "sent",
    ["filename", "filename !!!", "filename eA==,filename eA==", "a b c", ",", "x" * 1025, "filename eA==,"],
)
def test_metadata_that_cannot_be_read_is_refused(admin: Uploader, sent: str) -> None:
    answer = admin.ask("POST", "/api/v1/uploads", Upload_Length="5", Upload_Metadata=sent)
    if sent == "filename":  # a key without a value is allowed: the name is then empty
        assert answer.status_code == 201
    else:
        assert _code(answer) == (400, "upload-metadata-unreadable")


@pytest.mark.parametrize("name", ["../x.zip", "a\\b", "a\nb", "\x1b[31m", "\u202ezip", "x" * 201])
def test_a_name_that_could_be_a_path_or_drive_a_terminal_is_refused(admin: Uploader, name: str) -> None:
    sent = f"filename {base64.b64encode(name.encode()).decode()}"
    answer = admin.ask("POST", "/api/v1/uploads", Upload_Length="5", Upload_Metadata=sent)
    assert _code(answer) == (400, "upload-name")


class _Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Upload-Offset": "1"}, (409, "upload-offset")),
        ({"Upload-Offset": "x"}, (400, "upload-offset-unreadable")),
        ({"Content-Type": "application/zip"}, (415, "media-type-not-supported")),
        ({"Content-Encoding": "gzip"}, (415, "encoding-not-supported")),
        ({"Content-Length": "6"}, (413, "upload-overflow")),
        ({"Content-Length": ""}, (411, "length-required")),
        ({"Upload-Checksum": "md5 1B2M2Y8AsgTpgAmY7PhCfg=="}, (400, "upload-checksum-unreadable")),
        ({"Upload-Checksum": "sha1 eA=="}, (400, "upload-checksum-unreadable")),
        ({"Upload-Checksum": "sha1"}, (400, "upload-checksum-unreadable")),
        ({"Authorization": "Bearer wrong"}, (401, "api-token-unknown")),
        ({"Tus-Resumable": "2"}, (412, "tus-version")),
    ],
)
def test_what_does_not_fit_is_refused_before_a_byte_is_read(
    admin: Uploader, headers: dict[str, str], refused: tuple[int, str]
) -> None:
    path = admin.create(5)
    every = {"Authorization": f"Bearer {admin.token}", **BODY, "Upload-Offset": "0", **headers}
    length = every.pop("Content-Length", "5")
    answer = admin.here.http.patch(
        path,
        input_stream=_Unread(),
        headers=every,
        environ_overrides={"CONTENT_LENGTH": length},
        buffered=True,
    )
    assert _code(answer) == refused
    assert admin.offset(path) == 0


def test_a_chunk_sent_twice_is_counted_once(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(6)
    assert admin.patch(path, b"abc", offset=0).status_code == 204
    assert _code(admin.patch(path, b"abc", offset=0)) == (409, "upload-offset")
    assert admin.patch(path, b"def", offset=3).status_code == 204
    assert _code(admin.patch(path, b"def", offset=3)) == (409, "upload-offset")
    assert list(_files(here).values()) == [b"abcdef"]


def _cut(admin: Uploader, path: str, data: bytes, *, announced: int, **headers: str) -> TestResponse:
    """A PATCH whose connection ends after *data*."""
    every = {"Authorization": f"Bearer {admin.token}", **BODY, "Upload-Offset": str(admin.offset(path))}
    return admin.here.http.patch(
        path,
        input_stream=io.BytesIO(data),
        headers={**every, **headers},
        environ_overrides={"CONTENT_LENGTH": str(announced)},
        buffered=True,
    )


def test_what_came_before_the_line_was_cut_is_counted(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(6)
    assert _code(_cut(admin, path, b"abcd", announced=6)) == (400, "body-truncated")
    assert admin.offset(path) == 4
    assert admin.patch(path, b"ef", offset=4).status_code == 204
    assert list(_files(here).values()) == [b"abcdef"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_chunk_with_another_checksum_is_not_counted(
    here: PortalUnderTest, admin: Uploader, algorithm: str
) -> None:
    def checksum(data: bytes) -> str:
        digest = hashlib.new(algorithm, data).digest()
        return f"{algorithm} {base64.b64encode(digest).decode()}"

    path = admin.create(6)
    admin.patch(path, b"abc", offset=0, Upload_Checksum=checksum(b"abc"))
    wrong = admin.patch(path, b"dxf", offset=3, Upload_Checksum=checksum(b"def"))
    assert (wrong.status, _code(wrong)) == ("460 Checksum Mismatch", (460, "upload-checksum"))
    assert (admin.offset(path), list(_files(here).values())) == (3, [b"abc"])
    assert admin.patch(path, b"def", offset=3, Upload_Checksum=checksum(b"def")).status_code == 204
    assert list(_files(here).values()) == [b"abcdef"]


def test_of_a_chunk_with_a_checksum_that_is_cut_nothing_is_counted(
    here: PortalUnderTest, admin: Uploader
) -> None:
    path = admin.create(6)
    sha1 = f"sha1 {base64.b64encode(hashlib.sha1(b'abcdef').digest()).decode()}"
    assert _code(_cut(admin, path, b"abcd", announced=6, **{"Upload-Checksum": sha1}))[0] == 400
    assert (admin.offset(path), list(_files(here).values())) == (0, [b""])


def test_a_torn_tail_is_cut_off(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(6)
    admin.patch(path, b"abc", offset=0)
    (part,) = here.portal.folders.incoming.iterdir()
    part.write_bytes(b"abcZZZZZZZZZ")  # what a process killed before it counted may leave
    assert admin.offset(path) == 3
    assert admin.patch(path, b"def", offset=3).status_code == 204
    assert part.read_bytes() == b"abcdef"


def test_bytes_the_disk_has_lost_are_sent_again(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(6)
    admin.patch(path, b"abcd", offset=0)
    (part,) = here.portal.folders.incoming.iterdir()
    part.write_bytes(b"ab")
    assert admin.offset(path) == 2
    assert admin.patch(path, b"cdef", offset=2).status_code == 204
    assert part.read_bytes() == b"abcdef"


def test_to_another_token_an_upload_does_not_exist(here: PortalUnderTest) -> None:
    owner, other = (Uploader(here, here.token(Scope.SUPPORT)) for _ in range(2))
    path = owner.create(5)
    answers = [
        other.ask("GET", path),
        other.ask("HEAD", path),
        other.patch(path, b"x", offset=0),
        other.ask("DELETE", path),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert json.loads(other.ask("GET", "/api/v1/uploads").data) == {"uploads": []}
    assert owner.offset(path) == 0


def test_an_admin_sees_and_ends_the_uploads_of_others(here: PortalUnderTest, admin: Uploader) -> None:
    path = Uploader(here, here.token(Scope.SUPPORT)).create(5)
    (listed,) = json.loads(admin.ask("GET", "/api/v1/uploads").data)["uploads"]
    assert path.endswith(listed["upload"])
    assert admin.ask("DELETE", path).status_code == 204
    assert admin.ask("HEAD", path).status_code == 404


def test_a_viewer_may_not_upload(here: PortalUnderTest, admin: Uploader) -> None:
    viewer = Uploader(here, here.token(Scope.VIEWER))
    assert _code(viewer.ask("POST", "/api/v1/uploads", Upload_Length="5")) == (403, "api-token-scope")
    assert viewer.ask("GET", admin.create(5)).status_code == 403


def test_an_ended_upload_is_gone_with_its_bytes(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(5)
    admin.patch(path, b"abc", offset=0)
    answer = admin.ask("DELETE", path)
    assert (answer.status_code, _files(here)) == (204, {})
    assert _code(admin.patch(path, b"de", offset=3)) == (404, "upload-unknown")
    assert _files(here) == {}


def test_a_method_may_be_named_in_a_header(here: PortalUnderTest, admin: Uploader) -> None:
    path = admin.create(3)
    headers = {"Content_Type": BODY["Content-Type"], "Upload_Offset": "0"}
    sent = admin.ask("POST", path, b"abc", X_HTTP_Method_Override="PATCH", **headers)
    assert (sent.status_code, list(_files(here).values())) == (204, [b"abc"])
    assert _code(admin.ask("POST", path, X_HTTP_Method_Override="PUT")) == (404, "upload-method")
    assert admin.ask("POST", path, X_HTTP_Method_Override="DELETE").status_code == 204
    assert _files(here) == {}


def test_a_refused_bundle_tells_the_reason_of_the_simple_upload(
    here: PortalUnderTest, admin: Uploader, tmp_path: Path
) -> None:
    stranger = Vendor(tmp_path, name="stranger")
    stranger.release("1.0.0")
    bundle = stranger.bundle("1.0.0")
    path = admin.send(bundle.read_bytes())
    ingest_next(here.portal, now=datetime.now(UTC))
    shown = json.loads(admin.ask("GET", path).data)
    simple = json.loads(here.put_bundle(bundle).data)
    assert (shown["state"], shown["result"]) == ("failed", None)
    told = ("status", "code", "title", "detail")
    assert [shown["problem"][name] for name in told] == [simple[name] for name in told]
    assert _files(here) == {}


def test_of_two_uploads_of_one_version_with_other_bytes_one_wins(
    here: PortalUnderTest, admin: Uploader, tmp_path: Path
) -> None:
    twin = twin_of(here.vendor, tmp_path)
    twin.release("1.0.0", files={"notes.txt": b"other bytes"})
    paths = [admin.send(_bundle(here)), admin.send(twin.bundle("1.0.0").read_bytes())]
    while ingest_next(here.portal, now=datetime.now(UTC)):
        pass
    first, second = (json.loads(admin.ask("GET", path).data) for path in paths)
    assert (first["state"], second["state"]) == ("done", "failed")
    assert (second["problem"]["status"], second["problem"]["code"]) == (409, "release-other-bytes")


def test_a_parameter_nobody_knows_is_refused(admin: Uploader) -> None:
    assert _code(admin.ask("GET", "/api/v1/uploads?x=1")) == (400, "parameter-unknown")
