"""The API token of who uploads: from a file or the environment, never from the arguments.

Every user of a machine can read the arguments of its processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engineshed_packages.files import read_limited

TOKEN_VARIABLE = "ENGINESHED_TOKEN"
FILE_VARIABLE = "ENGINESHED_TOKEN_FILE"
MISSING = f"no API token: put it into a file and name that in --token-file or {FILE_VARIABLE}"
MAX_TOKEN_BYTES = 4096


def find_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token in *file*, else in the file that the environment names, else in the environment.

    None when there is none, or it is no token.

    Raises:
        FileRefused: the file that was named cannot be read.
    """
    named = environment.get(FILE_VARIABLE) if file is None else str(file)
    if named:
        token = read_limited(Path(named), MAX_TOKEN_BYTES).decode("utf-8", "replace").strip()
    else:
        token = environment.get(TOKEN_VARIABLE, "").strip()
    return token if re.fullmatch(r"[\x21-\x7e]+", token) else None
