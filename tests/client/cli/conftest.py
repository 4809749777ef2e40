"""A scripted portal, a vendor, a base that joined."""

from __future__ import annotations

from tests.client.joined_fixtures import joined, quiet_logging, scripted, vendor

__all__ = ["joined", "quiet_logging", "scripted", "vendor"]
