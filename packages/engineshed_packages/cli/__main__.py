"""``python -m engineshed_packages.cli``: the same as ``engineshed-packages``."""

from __future__ import annotations

import sys

from engineshed_packages.cli import main

sys.exit(main())
