"""``engineshed-client``: from arguments to an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from engineshed_client.cli import codes
from engineshed_client.cli.arguments import build_parser
from engineshed_client.cli.frame import Frame
from engineshed_client.cli.output import Output, set_up_logging
from engineshed_client.cli.running import run_run
from engineshed_client.errors import ClientError, SettingsRefused, disk_trouble
from engineshed_packages import exits

NAGIOS_UNKNOWN = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Every error of the updater becomes one line for the person and a code for the script; anything else is
    a bug and shows its traceback.
    """
    parsed = build_parser().parse_args(arguments)
    output = Output(as_json=parsed.json, quiet=parsed.quiet)
    set_up_logging(_log_level(parsed.verbose, is_service=parsed.run is run_run))
    try:
        code: int = parsed.run(Frame(parsed, output))
    except KeyboardInterrupt:
        output.error("interrupted", "interrupted; what was begun is ended by the next command or the service")
        return exits.FAILED
    except BrokenPipeError:
        # The reader went away, as `log | head` does. Nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except OSError as err:
        # What no boundary caught.
        code = _fail(output, disk_trouble(err))
    except ClientError as err:
        code = _fail(output, err)
        if getattr(parsed, "nagios", False):
            print(f"ENGINESHED UNKNOWN - {err.message}")
            return NAGIOS_UNKNOWN
    return code


def _fail(output: Output, err: ClientError) -> int:
    code = codes.of_error(err)
    if isinstance(err, SettingsRefused):
        for fault in err.faults:
            output.error(err.code, fault)
    elif code == exits.DONE:
        output.result({"code": err.code, "message": err.message}, err.message)
    else:
        output.error(err.code, err.message)
    return code


def _log_level(verbose: bool, *, is_service: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.INFO if is_service else logging.WARNING
