"""``python -m engineshed_server.cli``: how the portal's parent starts its children."""

import sys

from engineshed_server.cli.main import main

sys.exit(main())
