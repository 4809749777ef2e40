"""One keyed request in a process of its own, which kills itself where it is told to.

    python -m tests.server.services.idempotent_run DATA_DIR DATABASE_URL STEP NOW

Makes an API token under the key ``key``. STEP: ``working``, when the token is written and nothing committed;
``done``, after everything was committed.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime

from engineshed_server.domain.actors import Actor
from engineshed_server.services.api_tokens import Scope, create_api_token
from engineshed_server.services.idempotency import KeptAnswer, KeyedRequest, run_once
from engineshed_server.services.portal import Portal
from engineshed_server.settings import load_settings
from engineshed_server.wiring import open_portal

REQUEST = KeyedRequest(owner="tok_caller", secret="engineshed-api-secret", key="key", content=b"make a token")


def make_token(portal: Portal, *, now: datetime) -> KeptAnswer:
    """The work: a token called ``kept``."""
    made = create_api_token(portal, name="kept", scope=Scope.VIEWER, actor=Actor("test"), now=now)
    return KeptAnswer(status=201, headers={"Location": made.token_id}, body=made.secret.encode())


def main(data_dir: str, url: str, step: str, moment: str) -> None:
    """Run and die."""
    now = datetime.fromisoformat(moment)
    portal = open_portal(load_settings(None, {}, flags={"portal.data_dir": data_dir, "database.url": url}))

    def work(within: Portal) -> KeptAnswer:
        answer = make_token(within, now=now)
        if step == "working":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    run_once(portal, REQUEST, work=work, now=now)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
