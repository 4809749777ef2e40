"""A small engine's files and their manifest, for the tests of manifests, packages and trees."""

import hashlib

from engineshed_packages.manifest import FileClass, FileEntry, Manifest, ProbeSpec, StartSpec, StopSpec
from engineshed_packages.versions import Version

FILES = {
    "bin/engine.py": (b"print()\n", 0o755),
    "conf/engine.toml": (b"port = 1\n", 0o644),
    "lib/a.jar": (b"jar", 0o644),
    "logs/keep": (b"", 0o644),
}


def file_entry(path: str, file_class: FileClass = FileClass.SHIPPED) -> FileEntry:
    data, mode = FILES[path]
    return FileEntry(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        mode=mode,
        file_class=file_class,
    )


MANIFEST = Manifest(
    product="sample-engine",
    version=Version("3.4.0"),
    platform="any",
    files=(
        file_entry("bin/engine.py"),
        file_entry("conf/engine.toml", FileClass.KEPT),
        file_entry("lib/a.jar"),
        file_entry("logs/keep", FileClass.RUNTIME),
    ),
    start=StartSpec(command=("{python}", "{engine}/bin/engine.py"), env={"A": "1"}),
    stop=StopSpec(timeout_s=10),
    probe=ProbeSpec(url="http://127.0.0.1:8750/health", version_pointer="/version"),
    kept=("conf/", "ext/lib/", "*.licence"),
    runtime=("logs/", "data/", "conf/cache/"),
    logs=("logs/*.log",),
)
