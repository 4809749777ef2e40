"""A portal, and uploads to it without HTTP."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from engineshed_server.domain.uploads import Uploader
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.uploads import ingesting, opening, owning, receiving
from engineshed_server.services.uploads.opening import NewUpload
from engineshed_server.services.uploads.owning import Upload
from engineshed_server.services.uploads.receiving import Chunk
from tests.server.databases import DatabaseKind
from tests.server.portals import ACTOR, House

# The file and its lock are what is killed here: one database tells as much as three.
ONE_DATABASE = pytest.mark.parametrize("database_kind", [DatabaseKind.SQLITE])


@dataclass
class Sender:
    """Somebody with a token."""

    house: House
    who: Uploader

    def open(self, length: int, name: str = "x.zip") -> str:
        wanted = NewUpload(length_bytes=length, name=name, sent_metadata="")
        opened = opening.open_upload(
            self.house.portal, wanted, owner=self.who, actor=ACTOR, now=self.house.now
        )
        return opened.upload_id

    def send(self, upload_id: str, data: bytes, *, offset: int = 0, **changes: object) -> Upload:
        chunk = Chunk(offset_bytes=offset, length_bytes=len(data), pieces=in_pieces(data))
        # dataclasses.replace takes any field by name; what does not fit fails in the test itself.
        chunk = replace(chunk, **changes)  # type: ignore[arg-type]
        return receiving.receive(
            self.house.portal, upload_id, chunk=chunk, asking=self.who, now=self.house.now
        )

    def send_all(self, data: bytes) -> str:
        upload_id = self.open(len(data))
        self.send(upload_id, data)
        return upload_id

    def show(self, upload_id: str) -> Upload:
        return owning.show_upload(self.house.portal, upload_id, asking=self.who, now=self.house.now)

    def listed(self) -> list[str]:
        page = owning.page_uploads(self.house.portal, asking=self.who, limit=100, after=None)
        return [one.upload_id for one in page.uploads]

    def on(self, house: House) -> "Sender":
        """The same one at the portal as another process has opened it."""
        return replace(self, house=house)


def in_pieces(data: bytes, size: int = 1000) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def ingest_all(house: House) -> int:
    """Takes in what waits; how many there were."""
    count = 0
    while ingesting.ingest_next(house.portal, now=house.now):
        count += 1
    return count


def place(house: House) -> tuple[str, str]:
    """Where another process finds the portal: data folder and database."""
    return str(house.portal.settings.data_dir), house.portal.settings.database_url


def files(house: House) -> list[str]:
    return sorted(path.name for path in house.portal.folders.incoming.iterdir())


def make_token(house: House, scope: Scope = Scope.SUPPORT) -> Uploader:
    made = create_api_token(house.portal, name="test", scope=scope, actor=ACTOR, now=house.now)
    return Uploader(token_id=made.token_id, sees_all=scope is Scope.ADMIN)


@pytest.fixture
def sender(house: House) -> Sender:
    return Sender(house, make_token(house))


@pytest.fixture
def bundle(house: House) -> bytes:
    """A bundle of 1.0.0."""
    house.vendor.release("1.0.0")
    return house.vendor.bundle("1.0.0").read_bytes()
