"""What the updater tells: update.log on the host, and one final report per attempt to the portal."""

from __future__ import annotations

from engineshed_client.reports.log_line import LogLine
from engineshed_client.reports.outbox import Outbox, Sent
from engineshed_client.reports.update_log import UpdateLog

__all__ = ["LogLine", "Outbox", "Sent", "UpdateLog"]
