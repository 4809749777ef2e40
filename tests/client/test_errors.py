import errno

import pytest

from engineshed_client import errors
from engineshed_packages import errors as format_errors


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EACCES, "disk-denied"),
        (errno.EPERM, "disk-denied"),
        (errno.EROFS, "disk-read-only"),
        (errno.EIO, "disk-error"),
    ],
)
def test_a_failed_call_has_a_stable_code(number: int, code: str) -> None:
    assert errors.disk_code(OSError(number, "text")) == code


def test_trouble_with_the_disk_names_the_file() -> None:
    trouble = errors.disk_trouble(OSError(errno.ENOSPC, "No space left on device", "/srv/file"))
    assert trouble.message == "/srv/file: No space left on device: make room on the volume of the base"


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (format_errors.Unavailable("http-503", "busy", retry_after_s=7), errors.PortalUnavailable),
        (format_errors.ContentMismatch("content-sha256", "other bytes"), errors.ContentRefused),
        (format_errors.Missing("missing", "not there"), errors.ContentRefused),
        (OSError(errno.ENOSPC, "full"), errors.DiskTrouble),
        (errors.Locked("locked", "held"), errors.Locked),
    ],
)
def test_the_boundary_lets_out_only_errors_of_the_client(
    inside: Exception, outside: type[errors.ClientError]
) -> None:
    with pytest.raises(errors.ClientError) as raised, errors.client_boundary():
        raise inside
    assert type(raised.value) is outside


def test_the_boundary_keeps_how_long_to_wait() -> None:
    with pytest.raises(errors.PortalUnavailable) as raised, errors.client_boundary():
        raise format_errors.Unavailable("http-503", "busy", retry_after_s=7)
    assert raised.value.retry_after_s == 7
