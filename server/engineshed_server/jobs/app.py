"""Celery as we use it: a bell. No results, no retries, no events, no remote control; messages may be lost."""

from __future__ import annotations

from celery import Celery
from celery.signals import setup_logging

from engineshed_server.errors import SetupRefused
from engineshed_server.settings import Settings
from engineshed_server.storage.folders import Folders

TASK = "engineshed.run"
QUEUE = "engineshed"
LOOK_EVERY_S = 0.2  # into the folder of messages, where the broker is one
CONNECT_S = 2.0


def make_app(settings: Settings) -> Celery:
    """Celery with the broker of the settings.

    Raises:
        SetupRefused: ``setup-folder``: the folder of messages cannot be made.
    """
    app = Celery("engineshed", broker=settings.broker or "filesystem://", set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=CONNECT_S,
        broker_transport_options=_transport(settings),
    )
    return app


def _transport(settings: Settings) -> dict[str, object]:
    if settings.broker:
        return {"socket_connect_timeout": CONNECT_S, "socket_timeout": 5 * CONNECT_S}
    folder = Folders(settings.data_dir).messages
    try:
        for name in ("queue", "control"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise SetupRefused("setup-folder", f"{folder}: {err.strerror}; expected a folder to write") from err
    return {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "store_processed": False,
        "polling_interval": LOOK_EVERY_S,
    }


@setup_logging.connect
def _leave_the_logs_alone(**_about: object) -> None:
    """Being connected is enough: Celery then configures none."""
