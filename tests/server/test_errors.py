from __future__ import annotations

import pytest

from engineshed_packages import errors as format_errors
from engineshed_server import errors


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (format_errors.ArchiveRefused, errors.Refused),
        (format_errors.MetadataRefused, errors.Refused),
        (format_errors.ContentMismatch, errors.Refused),
        (format_errors.Missing, errors.Refused),
        (format_errors.Conflict, errors.Conflict),
        (format_errors.Unavailable, errors.TryLater),
        (format_errors.KeyUnusable, errors.SetupRefused),
    ],
)
def test_an_error_of_the_format_becomes_ours_with_its_code(
    inside: type[format_errors.PackagesError], outside: type[errors.ServerError]
) -> None:
    with pytest.raises(outside) as caught, errors.format_boundary():
        raise inside("some-code", "what was found")
    assert (caught.value.code, caught.value.message) == ("some-code", "what was found")


def test_the_time_to_wait_comes_through() -> None:
    with pytest.raises(errors.TryLater) as caught, errors.format_boundary():
        raise format_errors.Unavailable("http-503", "busy", retry_after_s=17)
    assert caught.value.retry_after_s == 17


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(errors.TooLarge), errors.format_boundary():
        raise errors.TooLarge("too-large", "over the limit")
