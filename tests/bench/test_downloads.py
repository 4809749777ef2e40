"""The figures of downloads can be taken; how large they are is for `make bench` on a quiet machine."""

from tests.bench.downloads import measure_downloads
from tests.bench.figure import MB


def test_every_way_sends_whole_files_and_ranges() -> None:
    figures = measure_downloads(rounds=1, size_bytes=3 * MB)
    ratios = [figure.name for figure in figures if figure.unit == "x"]
    assert len(ratios) == 4
    assert all(figure.value > 0 for figure in figures if figure.unit != "ms")
