"""A portal that was broken into, or that breaks: the engine never notices.

The attacker holds the portal's order key and all that it knows of its engines; he can order what he likes and
serve what he likes. He holds no key of the vendor. The updater is a process of its own.
"""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engineshed_packages.ids import new_id
from engineshed_packages.jsontext import Json
from engineshed_packages.orders import Package
from engineshed_packages.repository.releases import ReleaseChange, ReleaseTerms
from engineshed_packages.target import Target
from engineshed_packages.versions import Version
from tests.client.joined_base import JoinedBase
from tests.client.scripted_portal import ScriptedPortal, now
from tests.faulty_http import Answer, answers
from tests.vendor import Vendor

Envelope = dict[str, Json]
COMMAND_S = 90


@contextmanager
def joined(folder: Path) -> Iterator[JoinedBase]:
    """A base on which 1.0.0 runs; the vendor has 1.1.0 as well, a floor at 1.0.0, and a withdrawn 1.2.0."""
    with ScriptedPortal() as portal:
        base = JoinedBase(folder / "base", portal, Vendor(folder))
        base.vendor.release("0.9.0")
        base.install("1.0.0")
        base.vendor.release("1.1.0", terms=ReleaseTerms(floor=Version.parse("1.0.0")))
        base.vendor.release("1.2.0")
        base.vendor.change("1.2.0", ReleaseChange(withdrawn=True))
        portal.publish(base.vendor)
        yield base
        base.close()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[JoinedBase]:
    """For a test that changes what is installed or configured."""
    with joined(tmp_path) as base:
        yield base


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JoinedBase]:
    """For all tests that change nothing: that is what they assert."""
    with joined(tmp_path_factory.mktemp("steady")) as base:
        yield base


def target(base: JoinedBase, version: str) -> Target:
    path = f"sample-engine/{version}/sample-engine-{version}-any.zip"
    found = base.vendor.view(base.paths.base.with_name("view")).find(path)
    assert found is not None
    return found


def update(base: JoinedBase) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engineshed_client.cli", "--base", str(base.paths.base), "update"]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S)


def altered(base: JoinedBase) -> Envelope:
    envelope = base.portal.order(target(base, "1.1.0"))
    payload = base64.b64decode(str(envelope["payload"])).replace(b"1.1.0", b"1.0.9")
    return {**envelope, "payload": base64.b64encode(payload).decode()}


def by_a_stranger(base: JoinedBase) -> Envelope:
    with ScriptedPortal() as stranger:
        return stranger.sign(base.portal.plain_order(target(base, "1.1.0")))


def replayed(base: JoinedBase) -> Envelope:
    """An order whose number was used up by a later one, which was refused only after it was accepted."""
    old = base.portal.order(target(base, "1.1.0"))
    base.portal.answer_polls(
        base.portal.offer(base.portal.order(target(base, "1.1.0"))), base.portal.no_news()
    )
    assert update(base).returncode == 77
    return old


def of_another_digest(base: JoinedBase) -> Envelope:
    real = target(base, "1.1.0")
    wrong = Package(path=real.path, length_bytes=real.length_bytes, sha256="0" * 64, version=real.version)
    return base.portal.order(real, package=wrong)


def of_a_foreign_package(base: JoinedBase) -> Envelope:
    """He serves it too, under its digest."""
    stranger = Vendor(base.paths.base.parent, name="stranger")
    foreign = stranger.release("6.6.6")
    base.portal.server.at(base.portal.package_at(foreign), answers.file(stranger.package_bytes(foreign)))
    return base.portal.order(foreign)


def of_a_foreign_package_under_a_genuine_name(base: JoinedBase) -> Envelope:
    stranger = Vendor(base.paths.base.parent, name="another")
    foreign = stranger.release("1.1.0", files={"bin/engine.py": b"evil = True\n"})
    base.portal.server.at(base.portal.package_at(foreign), answers.file(stranger.package_bytes(foreign)))
    return base.portal.order(foreign)


ORDERS: dict[str, tuple[str, Callable[[JoinedBase], Envelope]]] = {
    "for another engine": (
        "order-other-engine",
        lambda base: base.portal.order(target(base, "1.1.0"), engine=new_id("eng")),
    ),
    "altered": ("order-signature", altered),
    "by a stranger": ("order-signature", by_a_stranger),
    "replayed": ("order-replayed", replayed),
    "expired": (
        "order-expired",
        lambda base: base.portal.order(target(base, "1.1.0"), accept_before=now() - timedelta(minutes=1)),
    ),
    "below the floor": (
        "order-below-floor",
        lambda base: base.portal.order(target(base, "0.9.0"), allow_downgrade=True),
    ),
    "of another digest": ("order-target-mismatch", of_another_digest),
    "of a foreign package": ("order-target-unknown", of_a_foreign_package),
    "of a foreign package under a genuine name": (
        "order-target-mismatch",
        of_a_foreign_package_under_a_genuine_name,
    ),
    "of a withdrawn release": (
        "order-withdrawn",
        lambda base: base.portal.order(target(base, "1.2.0")),
    ),
    "of another portal": (
        "order-other-portal",
        lambda base: base.portal.order(target(base, "1.1.0"), portal=new_id("ptl")),
    ),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_a_bad_order_is_refused_with_its_code_its_line_and_its_report(steady: JoinedBase, kind: str) -> None:
    code, make = ORDERS[kind]
    before = steady.context.supervisor.identity()
    steady.portal.answer_polls(steady.portal.offer(make(steady)))
    done = update(steady)
    assert (done.returncode, f"[{code}]" in done.stderr or code in done.stdout) == (77, True)
    assert (steady.version, steady.context.supervisor.identity(), steady.journal) == ("1.0.0", before, None)
    assert f" code={code} " in steady.log_lines("REFUSED")[-1]
    assert steady.portal.reports()[-1].code == code


def test_a_good_order_of_the_same_portal_is_carried_out(base: JoinedBase) -> None:
    """The control."""
    offer = base.portal.offer(base.portal.order(target(base, "1.1.0")))
    base.portal.answer_polls(offer, offer, base.portal.no_news())
    assert (update(base).returncode, base.version) == (0, "1.1.0")


def refused_port(base: JoinedBase) -> None:
    """Nobody listens where the portal was."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    text = base.paths.settings.read_text()
    base.paths.settings.write_text(f'portals = ["{url}"]\n{text}')


POLLS: dict[str, tuple[Answer, int]] = {
    "HTML": (answers.html(), 69),
    "429": (answers.status(429, {"Retry-After": "7"}), 75),
    "500": (answers.status(500), 69),
    "a truncated 200": (answers.truncated(b"{" * 200, 20, {"Content-Type": "application/json"}), 69),
    "endless data": (answers.endless({"Content-Type": "application/json"}), 69),
    "a redirect": (answers.redirect("http://127.0.0.1:1/"), 69),
    "no JSON": (answers.json(b"certainly"), 69),
}


@pytest.mark.parametrize("kind", POLLS)
def test_a_poll_that_is_answered_badly_changes_nothing(steady: JoinedBase, kind: str) -> None:
    answer, code = POLLS[kind]
    before = steady.context.supervisor.identity()
    steady.portal.server.at("/api/v1/poll", answer)
    assert update(steady).returncode == code
    assert (steady.version, steady.context.supervisor.identity(), steady.journal) == ("1.0.0", before, None)


def test_a_portal_that_is_down_changes_nothing(base: JoinedBase) -> None:
    before = base.context.supervisor.identity()
    refused_port(base)
    assert update(base).returncode == 69
    assert (base.version, base.context.supervisor.identity(), base.journal) == ("1.0.0", before, None)


PACKAGES: dict[str, Callable[[bytes], Answer]] = {
    "HTML": lambda data: answers.html(),
    "500": lambda data: answers.status(500),
    "a truncated 200": lambda data: answers.truncated(data, 100),
    "a short 200": lambda data: answers.status(200, {"Content-Type": "application/zip"}, data[:-1]),
    "a wrong 206": lambda data: answers.partial(data[7:], f"bytes 7-{len(data) - 1}/{len(data)}"),
    "endless data": lambda data: answers.endless(),
}


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_package_that_is_served_badly_costs_no_downtime_and_is_fetched_later(
    base: JoinedBase, kind: str
) -> None:
    before, newer = base.context.supervisor.identity(), target(base, "1.1.0")
    data, path = base.vendor.package_bytes(newer), base.portal.package_at(newer)
    offer = base.portal.offer(base.portal.order(newer))
    base.portal.answer_polls(offer)
    base.portal.server.at(path, PACKAGES[kind](data))
    assert update(base).returncode == 69
    assert (base.version, base.context.supervisor.identity()) == ("1.0.0", before)
    # It asks before it tries the download again, and before it stops the engine.
    base.portal.answer_polls(offer, offer, base.portal.no_news())
    base.portal.server.at(path, answers.file(data))
    assert (update(base).returncode, base.version) == (0, "1.1.0")
