"""The worker: processes that each open the portal and run the jobs that are rung for.

Jobs run in processes of their own (prefork): only these can be ended when they take too long. The portal is
opened in each, after the fork.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init, worker_process_shutdown

from engineshed_server.errors import ServerError, SetupRefused
from engineshed_server.jobs.app import QUEUE, TASK, make_app
from engineshed_server.services.jobs.kinds import Kinds
from engineshed_server.services.jobs.running import Worker, run_job
from engineshed_server.services.portal import Portal
from engineshed_server.settings import Settings
from engineshed_server.storage.folders import Folders
from engineshed_server.wiring import open_portal

logger = logging.getLogger(__name__)


def run_worker(settings: Settings, kinds: Kinds, *, on_fork: Callable[[int], None]) -> int:
    """Work until a signal ends it; what runs then may end. Returns an exit code.

    Args:
        on_fork: called first in each process of jobs, with the number of this one.

    Raises:
        SetupRefused: the folder of messages cannot be made.
    """
    app = make_app(settings)
    tempfile.tempdir = str(_scratch(Folders(settings.data_dir).scratch / settings.node))
    _Jobs(app, settings, kinds, on_fork)
    worker = app.Worker(
        hostname=f"jobs@{settings.node}",
        pool="prefork",
        concurrency=max(1, settings.job_workers),
        queues=[QUEUE],
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _scratch(folder: Path) -> Path:
    """This worker's folder for what Celery's processes share; those that killed ones left are removed.

    Raises:
        SetupRefused: code ``setup-folder``.
    """
    ours = folder / str(os.getpid())
    try:
        for left in folder.iterdir() if folder.is_dir() else ():
            if not Path("/proc", left.name).exists():
                shutil.rmtree(left)
        ours.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise SetupRefused("setup-folder", f"{folder}: {err.strerror}; expected a folder to write") from err
    return ours


class _Jobs:
    """The one task, and the portal of the process it runs in."""

    def __init__(self, app: Celery, settings: Settings, kinds: Kinds, on_fork: Callable[[int], None]) -> None:
        self._settings = settings
        self._kinds = kinds
        self._on_fork = on_fork
        self._main_pid = os.getpid()
        self._portal: Portal | None = None
        app.task(name=TASK)(self._run)
        worker_process_init.connect(self._begin)
        worker_process_shutdown.connect(self._end)

    def _begin(self, **_about: object) -> None:
        self._on_fork(self._main_pid)
        try:  # not at the first job, whose time would run meanwhile
            self._portal = open_portal(self._settings)
        except ServerError as err:
            logger.warning("portal not opened yet", extra={"code": err.code, "reason": err.message})

    def _end(self, **_about: object) -> None:
        if self._portal is not None:
            self._portal.close()

    def _run(self, job_id: str) -> None:
        worker = Worker(
            name=f"{self._settings.node}/{os.getpid()}",
            node=self._settings.node,
            overdue=(SoftTimeLimitExceeded,),
        )
        try:
            if self._portal is None:
                self._portal = open_portal(self._settings)
            self._portal.snapshot.refresh()
            run_job(self._portal, job_id, kinds=self._kinds, worker=worker, clock=_now)
        except ServerError as err:
            # The row says what is to be done: it is rung again when its lease has run out.
            logger.warning("job left", extra={"job": job_id, "code": err.code, "reason": err.message})


def _now() -> datetime:
    return datetime.now(UTC)
