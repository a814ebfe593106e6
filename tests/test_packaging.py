"""What is installed and what is shipped: one top-level name, the folders as they are, no torch unless asked for."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import onnx_tagger

ROOT = Path(__file__).resolve().parents[1]
TOPS = {
    "onnx_tagger": "tagger",
    "onnx_tagger.passes": "passes",
    "onnx_tagger.exporters": "exporters",
    "onnx_tagger.runtime": "runtime",
}
# Package to folder: the four folders of the repository and the rooms in them.
FOLDERS = TOPS | {
    f"{package}.{room.parent.name}": f"{folder}/{room.parent.name}"
    for package, folder in TOPS.items()
    for room in (ROOT / folder).glob("*/__init__.py")
}
OPTIONAL = {"torch", "transformers", "onnxscript", "onnxruntime", "onnx_graphsurgeon"}


def python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def shipped(folder: Path) -> set[str]:
    """The files of a folder that belong into the package."""
    suffixes = (".py", ".schema.json", "py.typed", "page.html", "page.css", "page.js")
    return {path.name for path in folder.iterdir() if path.name.endswith(suffixes)}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from it, made in a copy so that nothing is left in the checkout."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    leftovers = (".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*leftovers))
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def wheel_names(dist: Path) -> list[str]:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_installs_one_top_level_name(dist: Path) -> None:
    tops = {name.split("/")[0] for name in wheel_names(dist)}
    assert tops == {"onnx_tagger", f"onnx_tagger-{onnx_tagger.__version__}.dist-info"}


@pytest.mark.parametrize(("package", "folder"), FOLDERS.items())
def test_wheel_holds_exactly_the_folder(dist: Path, package: str, folder: str) -> None:
    parent = package.replace(".", "/")
    found = {Path(name).name for name in wheel_names(dist) if str(Path(name).parent) == parent}
    assert found == shipped(ROOT / folder)


def test_wheel_holds_the_licence(dist: Path) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names(dist))


def test_sdist_holds_what_the_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"setup.cfg", "pyproject.toml", "constraints.txt", "Makefile", "LICENSE", ".ci/run", "tests/conftest.py"}
    assert needed <= names
    for folder in ("tests", "fixtures", "docs", "benchmarks"):
        files = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        junk = re.compile(r"__pycache__|\.egg-info|/build/|\.py[cod]$")
        assert {name for name in files if not junk.search(name)} <= names


@pytest.mark.parametrize(("package", "folder"), FOLDERS.items())
def test_installed_package_is_the_folder(package: str, folder: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0])
    assert shipped(installed) == shipped(ROOT / folder), "the install is stale: run make install"


@pytest.mark.parametrize("folder", ["passes", "exporters", "runtime"])
def test_bare_folder_refuses_to_be_imported(folder: str) -> None:
    done = python(f"import {folder}")
    assert done.returncode == 1
    assert f"ImportError: {folder} is a folder of the onnx-tagger repository" in done.stderr
    assert f"import onnx_tagger.{folder}" in done.stderr


@pytest.mark.parametrize("module", ["onnx_tagger", "onnx_tagger.cli.main", "onnx_tagger.passes.registry"])
def test_import_loads_no_optional_dependency(module: str, tmp_path: Path) -> None:
    done = python(f"import sys, {module}; print(*sorted({OPTIONAL!r} & sys.modules.keys()))", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_version_is_the_distribution_s() -> None:
    assert onnx_tagger.__version__ == importlib.metadata.version("onnx-tagger")


def test_python_dash_m_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onnx_tagger", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "retag" in done.stdout


def own_entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
    return [entry for entry in importlib.metadata.distribution("onnx-tagger").entry_points if entry.group == group]


def test_the_command_is_declared() -> None:
    (entry,) = own_entry_points("console_scripts")
    assert (entry.name, entry.value) == ("onnx-tagger", "onnx_tagger.cli.main:main")


@pytest.mark.parametrize("entry", own_entry_points("onnx_tagger.passes"), ids=lambda entry: entry.name)
def test_declared_pass_carries_its_name(entry: importlib.metadata.EntryPoint) -> None:
    assert entry.load().name == entry.name


def requirements() -> list[Requirement]:
    return [Requirement(text) for text in importlib.metadata.requires("onnx-tagger") or ()]


def test_base_requirements() -> None:
    base = {each.name for each in requirements() if each.marker is None or "extra" not in str(each.marker)}
    assert base == {"onnx", "msgspec", "networkx", "numpy", "rich", "tomli", "typer"}


def test_requirements_are_ranges() -> None:
    assert [str(r) for r in requirements() if any(spec.operator in ("==", "===") for spec in r.specifier)] == []


def test_constraints_pin_every_requirement() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    pins = dict(line.split("==") for line in lines)
    assert pins["torch"] == "2.13.0"
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name != "onnx-tagger":
            assert name in pins
            assert requirement.specifier.contains(pins[name])


def test_links_of_the_description_are_absolute_once_there_is_an_address() -> None:
    urls = importlib.metadata.metadata("onnx-tagger").get_all("Project-URL") or []
    links = re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert bool(urls) == (not links), (urls, links)
