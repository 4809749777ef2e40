"""The limits hold, with a package too large to be held in memory unnoticed."""

from pathlib import Path

import pytest

from tests.bench.figures import MB, measure, print_figures

SIZE_BYTES = 120 * MB  # beside what the processes need anyway, one copy in memory would be over the limit


@pytest.mark.timeout(400)
def test_no_figure_is_over_its_limit(tmp_path: Path) -> None:
    figures = measure(tmp_path, SIZE_BYTES)
    print_figures(figures, SIZE_BYTES)
    assert [figure.line() for figure in figures if not figure.good] == []
