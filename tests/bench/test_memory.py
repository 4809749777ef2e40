"""The limits hold, with a package too large to be held in memory unnoticed."""

from pathlib import Path

import pytest

from tests.bench.figure import MB, print_figures
from tests.bench.memory import measure_memory

SIZE_BYTES = 120 * MB  # beside what the processes need anyway, one copy in memory would be over the limit


@pytest.mark.timeout(400)
def test_no_figure_is_over_its_limit(tmp_path: Path) -> None:
    figures = measure_memory(tmp_path, SIZE_BYTES)
    print_figures("memory", figures)
    assert [figure.line() for figure in figures if not figure.good] == []
