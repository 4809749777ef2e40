"""Software for the attacks: the sample engine in any version, good or evil.

The evil one does all that the good one does, and first it leaves a mark. A control shows that the mark is
left wherever an attack succeeds; without it nothing foreign has run.
"""

from __future__ import annotations

from pathlib import Path

from engineshed_packages.builder import SAMPLE_FOLDER, build_package
from engineshed_packages.versions import Version

_PROGRAM = SAMPLE_FOLDER / "common" / "bin" / "engine.py"
_MAIN = 'if __name__ == "__main__":\n'


class Workshop:
    """Builds packages below *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mark = folder / "evil-has-run"

    @property
    def evil_has_run(self) -> bool:
        """Whether any evil engine was ever started."""
        return self.mark.exists()

    def good(self, product: str, version: str) -> Path:
        """The sample engine."""
        return self._build(product, version, kind="good", program=_PROGRAM.read_text())

    def evil(self, product: str, version: str) -> Path:
        """The sample engine with something else in it."""
        text = _PROGRAM.read_text()
        assert text.count(_MAIN) == 1
        program = text.replace(_MAIN, f"{_MAIN}    open({str(self.mark)!r}, 'w').close()\n")
        return self._build(product, version, kind="evil", program=program)

    def _build(self, product: str, version: str, *, kind: str, program: str) -> Path:
        overlay = self._folder / "sources" / f"{kind}-{product}-{version}"
        (overlay / "bin").mkdir(parents=True, exist_ok=True)
        (overlay / "bin" / "engine.py").write_text(program)
        (overlay / "VERSION").write_text(f"{version}\n")
        described = (SAMPLE_FOLDER / "common" / "package.toml").read_text()
        (overlay / "package.toml").write_text(described.replace("sample-engine", product))
        output = self._folder / "packages" / kind
        output.mkdir(parents=True, exist_ok=True)
        sources = [SAMPLE_FOLDER / "common", SAMPLE_FOLDER / "1.1.0", overlay]
        return build_package(sources, version=Version.parse(version), platform="any", output=output).path
