"""The vendor's new keys, published between two requests of one engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engineshed_client.errors import ContentRefused
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal
from tests.faulty_http import answers
from tests.packages.forgery import metadata_file, rotate_online_key
from tests.vendor import Vendor

ROOT = "/repo/v1/vendor/metadata/2.root.json"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[JoinedBase]:
    with ScriptedPortal() as portal:
        base = JoinedBase(tmp_path / "base", portal, Vendor(tmp_path))
        base.install("1.0.0")
        base.parts().portal.open_view()
        rotate_online_key(base.vendor)
        portal.publish(base.vendor)
        yield base
        base.close()


def test_a_root_that_came_a_moment_too_late_is_asked_for_again(base: JoinedBase) -> None:
    """Else the order at hand would be refused, and rest for an hour."""
    root = answers.file(metadata_file(base.vendor, "2.root.json").read_bytes())
    base.portal.server.at(ROOT, answers.status(404), root)
    assert base.parts().portal.open_view().root_version == 2


def test_a_timestamp_that_stays_a_strangers_is_refused_after_the_second_look(base: JoinedBase) -> None:
    base.portal.server.at(ROOT, answers.status(404))
    base.portal.server.requests.clear()
    with pytest.raises(ContentRefused) as caught:
        base.parts().portal.open_view()
    assert caught.value.code == "metadata-signature"
    assert base.portal.server.paths().count(ROOT) == 2
