"""The pictures in docs/screenshots are those of the pages there are."""

from engineshed_server.web.navigation import PLACES
from tests.browser.screenshots import FOLDER, MAX_PNG_BYTES, SCHEMES, SHOTS


def test_there_is_a_picture_of_each_page_and_no_other() -> None:
    found = {path.name for path in FOLDER.iterdir()}
    assert found == {f"{shot.name}-{scheme}.png" for shot in SHOTS for scheme in SCHEMES}


def test_every_place_of_the_menu_is_pictured() -> None:
    topics = {place.endpoint.split(".")[1] for place in PLACES}
    assert topics <= {shot.name for shot in SHOTS}


def test_the_pictures_are_small() -> None:
    assert [path.name for path in FOLDER.iterdir() if path.stat().st_size > MAX_PNG_BYTES] == []
