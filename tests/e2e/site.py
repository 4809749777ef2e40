"""A customer's site for the tests of one module: one vendor, one portal, and a host for whoever needs one.

    with Site(folder) as site:
        host = site.running_host()                  # enrolled, and 1.0.0 runs
        site.portal.upload(site.vendor.bundle(host.product, "1.1.0"))

Every host has a product of its own, so that what one test publishes, holds or stops is nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.e2e.sample_parties import EngineHost, PortalProcess, SampleVendor

MAX_HOSTS = 12


class Site:
    """Makes hosts, and ends them with the portal; a context manager."""

    def __init__(self, folder: Path, *, settings: str = "") -> None:
        products = tuple(f"sample-{number}" for number in range(MAX_HOSTS))
        self._folder = folder
        self._products = iter(products)
        self._ends = ExitStack()
        self.vendor = SampleVendor(folder, products=products)
        self.portal = PortalProcess(folder, self.vendor.root_file, settings=settings)

    def __enter__(self) -> Self:
        self._ends.enter_context(self.portal)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def new_host(self, environment: Mapping[str, str] | None = None, **settings: object) -> EngineHost:
        """A host that has not joined yet."""
        product = next(self._products)
        host = EngineHost(
            self._folder / product,
            product=product,
            root_file=self.vendor.root_file,
            settings=settings,
            environment=environment,
        )
        return self._ends.enter_context(host)

    def running_host(self, environment: Mapping[str, str] | None = None, **settings: object) -> EngineHost:
        """A host that has joined, on which 1.0.0 runs; its updater does not run yet."""
        host = self.new_host(environment, **settings)
        for done in (
            host.enrol(self.portal.lasting_line),
            host.client("install", str(self.vendor.bundle(host.product, "1.0.0"))),
        ):
            assert done.returncode == 0, done.stderr + done.stdout
        return host

    def audited(self, action: str, subject: str) -> list[dict[str, Any]]:
        """The rows of the audit about *action* on *subject*, the newest first; JSON, of any shape."""
        words = ("--action", action, "--subject", subject, "--json")
        entries: list[dict[str, Any]] = self.portal.read("audit", "list", *words)["entries"]
        return entries
