"""`make bench`: prints the figures of each topic; exit code 1 when one misses its limit.

Ratios compare with something else in the same run, asked in turn, and are medians. Speed is never asserted
in a test: these figures are for people, on a machine that does nothing else.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench.downloads import measure_downloads
from tests.bench.figure import MB, Figure, print_figures
from tests.bench.ingest import measure_ingest
from tests.bench.memory import measure_memory
from tests.bench.pages import measure_pages
from tests.bench.polls import measure_polls
from tests.bench.slow import measure_slow

SIZE_BYTES = 200 * MB

TOPICS: dict[str, tuple[str, Callable[[Path], list[Figure]]]] = {
    "memory": ("Memory and sizes, package of 200 MB", lambda folder: measure_memory(folder, SIZE_BYTES)),
    "ingest": ("Ingest of a bundle of 200 MB", measure_ingest),
    "downloads": ("Downloads of 200 MB", lambda folder: measure_downloads()),
    "slow": ("Polls while peers are slow", lambda folder: measure_slow()),
    "pages": ("Pages of a portal with 10,000 engines and 100,000 attempts", measure_pages),
    "polls": ("Polls without news of 10,000 engines", measure_polls),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; default: all")
    wanted = parser.parse_args().topics or list(TOPICS)
    unknown = sorted(set(wanted) - set(TOPICS))
    if unknown:
        parser.error(f"there is no topic {unknown[0]}; there are {', '.join(TOPICS)}")
    good = True
    for topic in wanted:
        title, measure = TOPICS[topic]
        with tempfile.TemporaryDirectory(prefix="engineshed-bench-") as folder:
            figures = measure(Path(folder))
        print_figures(title, figures)
        print()
        good = good and all(figure.good for figure in figures)
    return 0 if good else 1


sys.exit(main())
