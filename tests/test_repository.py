"""The tree itself: what setup.cfg lists is what lies there, and what the documents name exists."""

import configparser
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HOMES = ("packages", "server", "client")
SAMPLE = ROOT / "packages/engineshed_packages/sample"


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    # No interpolation: coverage's and pytest's values may hold a percent sign.
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def _lines(value: str) -> list[str]:
    return [line.strip() for line in value.splitlines() if line.strip()]


def _folders_with_init() -> Iterator[str]:
    for home in HOMES:
        for init in (ROOT / home).rglob("__init__.py"):
            yield ".".join(init.parent.relative_to(ROOT / home).parts)


def _files_to_ship() -> Iterator[str]:
    """Path, as in the wheel, of every file of the three packages that a user needs."""
    for home in HOMES:
        for path in (ROOT / home).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT / home).as_posix()


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in a wheel built from a copy of the tree: building in place would leave `build/` behind."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for shipped in _files_to_ship():
        home = next(home for home in HOMES if (ROOT / home / shipped).exists())
        target = source / home / shipped
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / home / shipped).read_bytes())
    output = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(output), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = output.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_folder_with_an_init_file_is_listed_in_setup_cfg(setup_cfg: configparser.ConfigParser) -> None:
    assert sorted(_lines(setup_cfg["options"]["packages"])) == sorted(_folders_with_init())


def test_the_wheel_holds_every_file_of_the_three_packages(wheel_names: set[str]) -> None:
    assert set(_files_to_ship()) - wheel_names == set()


def test_the_wheel_holds_the_sample_engine(wheel_names: set[str]) -> None:
    sample = {path.relative_to(ROOT / "packages").as_posix() for path in SAMPLE.rglob("*.toml")}
    assert sample
    assert sample <= wheel_names


def test_each_package_is_marked_as_typed(wheel_names: set[str]) -> None:
    assert {f"engineshed_{home}/py.typed" for home in HOMES} <= wheel_names


def test_the_wheel_holds_nothing_at_the_top_but_our_three_packages(wheel_names: set[str]) -> None:
    top = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        f"engineshed_{home}" for home in HOMES
    }


def test_there_are_exactly_the_three_commands(setup_cfg: configparser.ConfigParser) -> None:
    scripts = _lines(setup_cfg["options.entry_points"]["console_scripts"])
    assert {line.split("=")[0].strip() for line in scripts} == {f"engineshed-{home}" for home in HOMES}


@pytest.mark.parametrize("home", HOMES)
def test_the_command_resolves_to_a_callable(home: str) -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=f"engineshed-{home}")
    assert callable(entry.load())


@pytest.mark.parametrize("home", HOMES)
def test_the_command_explains_itself(home: str) -> None:
    command = Path(sys.executable).with_name(f"engineshed-{home}")
    answer = subprocess.run([command, "--help"], check=True, capture_output=True, text=True, timeout=60)
    assert "usage" in answer.stdout.lower()


def test_the_version_stands_in_one_place() -> None:
    pattern = re.compile(r"^(__version__|version) *= *[\"']?\d", re.MULTILINE)
    candidates = [ROOT / "setup.cfg", ROOT / "pyproject.toml", *(ROOT / home for home in HOMES)]
    files = [path for each in candidates for path in (each.rglob("*.py") if each.is_dir() else [each])]
    holders = [
        path for path in files if SAMPLE not in path.parents and pattern.search(path.read_text("utf-8"))
    ]
    assert holders == [ROOT / "packages/engineshed_packages/__init__.py"]


def test_the_base_install_brings_only_four_libraries(setup_cfg: configparser.ConfigParser) -> None:
    names = {re.split(r"[<>=!\[]", line)[0] for line in _lines(setup_cfg["options"]["install_requires"])}
    assert names == {"requests", "tuf", "securesystemslib", "packaging"}


def test_importing_the_updater_loads_no_library_of_the_server() -> None:
    unwanted = {"flask", "sqlalchemy", "celery", "jwt", "alembic", "click", "gunicorn"}
    code = "import sys, engineshed_client.cli; print(*{name.split('.')[0] for name in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert unwanted & set(answer.stdout.split()) == set()


def test_the_updater_comes_up_without_cryptography() -> None:
    # securesystemslib takes it where it is there, and has its own way where it is not.
    code = "import sys; sys.modules['cryptography'] = None; import engineshed_client.cli"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", ["README.md", ".ci/run", "docs"])
def test_every_make_target_a_document_names_exists(document: str) -> None:
    path = ROOT / document
    files = sorted(path.rglob("*.md")) if path.is_dir() else [path]
    named = {
        name
        for file in files
        for name in re.findall(
            r"(?:`|^\s*|REQUIRE_ALL=1 )make ([a-z-]+)", file.read_text("utf-8"), re.MULTILINE
        )
    }
    assert named - _make_targets() == set()


def test_make_help_names_every_target() -> None:
    answer = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert set(re.findall(r"^  make ([a-z-]+)", answer.stdout, re.MULTILINE)) == _make_targets()


@pytest.mark.parametrize("lock", ["client", "server", "dev"])
def test_the_lock_names_no_index_host(lock: str) -> None:
    text = (ROOT / f"deploy/requirements/{lock}.txt").read_text("utf-8")
    assert (
        re.findall(
            r"^.*(?:://|--index-url|--extra-index-url|--find-links|--trusted-host).*$", text, re.MULTILINE
        )
        == []
    )


@pytest.mark.parametrize("lock", ["client", "server", "dev"])
def test_every_requirement_in_the_lock_is_pinned_and_hashed(lock: str) -> None:
    text = (ROOT / f"deploy/requirements/{lock}.txt").read_text("utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert requirements
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("client", []), ("server", ["server"]), ("dev", ["server", "postgres", "mariadb", "sign", "dev"])],
)
def test_the_lock_holds_a_version_that_setup_cfg_allows_of_everything_it_asks_for(
    setup_cfg: configparser.ConfigParser, lock: str, extras: list[str]
) -> None:
    text = (ROOT / f"deploy/requirements/{lock}.txt").read_text("utf-8")
    locked = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    }
    sections = [setup_cfg["options"]["install_requires"]]
    sections += [setup_cfg["options.extras_require"][extra] for extra in extras]
    asked = [
        Requirement(line) for section in sections for line in _lines(section) if not line.startswith("#")
    ]
    assert [
        str(one) for one in asked if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))
    ] == []
