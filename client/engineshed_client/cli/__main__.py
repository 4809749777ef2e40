"""``python -m engineshed_client.cli``: how the launcher starts the installed updater."""

from __future__ import annotations

import sys

from engineshed_client.cli.main import main

sys.exit(main())
