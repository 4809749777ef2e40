"""`make bench`: prints the figures; exit code 1 when one is over its limit."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import MB, measure, print_figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200, help="size of the package (%(default)s)")
    size_bytes = parser.parse_args().megabytes * MB
    with tempfile.TemporaryDirectory(prefix="engineshed-bench-") as folder:
        figures = measure(Path(folder), size_bytes)
    print_figures(figures, size_bytes)
    return 0 if all(figure.good for figure in figures) else 1


sys.exit(main())
