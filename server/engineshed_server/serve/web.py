"""gunicorn with our application: threads, no preloading, nothing it would read by itself.

The application is made in each worker after the fork: database connections, threads and what is kept
in memory do not survive a fork. Workers ask the kernel for SIGKILL when their master dies: a worker
without a master could wait for ever for a peer that has gone to sleep, and a cut download is resumed.

A listening socket may be handed over by descriptor, as ``run`` does: connections then wait in the
kernel's queue while gunicorn is being restarted, instead of being refused.
"""

from __future__ import annotations

import gc
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from wsgiref.types import WSGIApplication

# gunicorn carries no type information, hence what is made of its class is unchecked as well.
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from engineshed_server.app import create_app
from engineshed_server.serve.children import die_with_parent
from engineshed_server.serve.listening import BACKLOG, listen
from engineshed_server.serve.logs import log_config
from engineshed_server.serve.worker import Worker
from engineshed_server.settings import Settings
from engineshed_server.wiring import (
    begin_counting,
    end_counting,
    join_counting,
    open_portal,
    start_background,
)

GRACE_S = 25  # running requests may finish; less than the parent's drain, which ends with SIGKILL
KEEP_ALIVE_S = 5
MOST_CONNECTIONS = 8192  # of one worker, slow and idle ones included
OTHER_FILES = 200  # open beside connections: the database, libraries, uploads
_MEMORY_FOLDER = "/dev/shm"  # heartbeats: on a slow disk a healthy worker would look dead


def run_web(settings: Settings, *, descriptor: int | None = None) -> None:
    """Serve in the foreground until a signal ends it; does not return but raises SystemExit.

    Args:
        descriptor: of a socket that listens already; None: listen where the settings say.

    Raises:
        SettingsRefused: nothing can listen there.
    """
    chosen = listen(settings.bind).detach() if descriptor is None else descriptor
    begin_counting(settings)  # not before: where another portal listens, its counts are left alone
    PortalApplication(settings, chosen).run()


class ServerLog(Logger):  # type: ignore[misc]  # its base is unchecked, see above
    """gunicorn's log without its access log: the application writes one line a request, with the id."""

    def access(self, *_about: object) -> None:
        """Nothing; gunicorn would put the line together for every request and then drop it."""


class PortalApplication(BaseApplication):  # type: ignore[misc]  # its base is unchecked, see above
    """gunicorn's view of us: its configuration, and how a worker makes its application."""

    def __init__(self, settings: Settings, descriptor: int) -> None:
        self._settings = settings
        self._descriptor = descriptor
        self._stop: Callable[[], None] = _nothing
        super().__init__(prog="engineshed-server")

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults; no file and no environment is read."""
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """In the worker: open the portal, start what runs beside the requests."""
        portal = open_portal(self._settings, meters=join_counting(self._settings))
        background = start_background(portal)

        def stop() -> None:
            background.stop()
            portal.close()

        self._stop = stop
        return create_app(portal)

    def _options(self) -> Mapping[str, object]:
        def post_fork(arbiter: object, worker: object) -> None:
            die_with_parent(signal.SIGKILL, worker.ppid)  # type: ignore[attr-defined]  # unchecked library

        def when_ready(arbiter: object) -> None:
            # What is loaded by now is shared with the workers; the collector must not touch those pages.
            gc.freeze()

        def child_exit(arbiter: object, worker: object) -> None:
            end_counting(self._settings, worker.pid)  # type: ignore[attr-defined]  # unchecked library

        def worker_exit(arbiter: object, worker: object) -> None:
            self._stop()

        return {
            "bind": f"fd://{self._descriptor}",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": Worker,
            "worker_connections": _connections(),
            "graceful_timeout": GRACE_S,
            "keepalive": KEEP_ALIVE_S,
            "backlog": BACKLOG,
            "preload_app": False,
            # By default a peer on this host, as a web server in front is, may set SCRIPT_NAME, PATH_INFO and
            # the scheme by headers, and so may everybody whose headers it passes on.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "control_socket_disable": True,
            "worker_tmp_dir": _MEMORY_FOLDER if Path(_MEMORY_FOLDER).is_dir() else None,
            "proc_name": "engineshed-server",
            "logger_class": ServerLog,
            "logconfig_dict": dict(log_config(self._settings.log_level, self._settings.log_format)),
            "loglevel": self._settings.log_level,
            "when_ready": when_ready,
            "post_fork": post_fork,
            "child_exit": child_exit,
            "worker_exit": worker_exit,
        }


def _connections() -> int:
    """How many connections a worker may hold: beyond its limit of open files the worker would die.

    Each may have the file it gets open as well. More than these wait in the kernel until one ends.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # many systems give 1024 to begin with
    if most == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(1, min(MOST_CONNECTIONS, (most - OTHER_FILES) // 2))


def _nothing() -> None:
    return None
