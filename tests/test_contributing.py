"""CONTRIBUTING's table "I want to add": each row is done in a copy of the repository, and found by the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import pytest

from examples.tiny import TREE, tiny_model

ROOT = Path(__file__).resolve().parents[1]
LEFTOVERS = (".*", "build", "dist", "*.egg-info", "__pycache__", "fixtures")


@dataclass(frozen=True)
class Row:
    """What a contributor does by a row of the table.

    Attributes
    ----------
    copied, made : str
        The file that is copied, and the new one.
    changes : dict
        Texts in the copy, and what takes their place.
    touched : dict
        Other files: a text in each, and what takes its place.
    """

    copied: str
    made: str
    changes: dict[str, str]
    touched: dict[str, tuple[str, str]] = field(default_factory=dict)


ROWS = {
    "a command": Row(
        "tagger/cli/commands/passes.py",
        "tagger/cli/commands/hello_world.py",
        {"onnx-tagger passes": "onnx-tagger hello-world"},
        {
            "tagger/cli/commands/__init__.py": (
                '("check", "config", "rules")',
                '("check", "config", "rules", "hello-world")',
            ),
            "docs/commands.md": ("| `passes` |", "| `hello-world` | an example |\n| `passes` |"),
        },
    ),
    "a form of output for `check`": Row(
        "tagger/reporters/text.py",
        "tagger/reporters/loud.py",
        {"{printable(shortened(line))}": "{printable(shortened(line)).upper()}"},
        {"tagger/reporters/__init__.py": ('"text": "text"', '"text": "text", "loud": "loud"')},
    ),
    "a pass": Row(
        "passes/coverage.py",
        "passes/tally.py",
        {
            "class Coverage": "class Tally",
            '"coverage"': '"tally"',
            # It uses what the row of an analysis adds.
            "@dataclass": "from onnx_tagger.passes.analyses.still import Still\n\n\n@dataclass",
            "    enforce: bool": "    requires = (Still,)\n    enforce: bool",
            "        report, tags =": (
                '        ctx.report.fallbacks.append(f"{sum(ctx.get(Still))} compute no data")\n        report, tags ='
            ),
        },
        {
            "setup.cfg": (
                "    coverage = onnx_tagger.passes.coverage:Coverage",
                "    coverage = onnx_tagger.passes.coverage:Coverage\n    tally = onnx_tagger.passes.tally:Tally",
            )
        },
    ),
    "an analysis": Row("passes/analyses/sizes.py", "passes/analyses/still.py", {"class Idle(": "class Still("}),
    "a measure": Row(
        "tagger/measures/nodes.py",
        "tagger/measures/doubled.py",
        {'Column("nodes")': 'Column("doubled")', "np.ones(": "2 * np.ones("},
        {
            "tagger/measures/__init__.py": ('"nodes": "nodes",', '"nodes": "nodes", "doubled": "doubled",'),
            "docs/reading.md": ("| `fused` |", "| `doubled` | an example |\n| `fused` |"),
        },
    ),
    "an export strategy": Row(
        "exporters/fx.py",
        "exporters/own.py",
        {"class FxExporter": "class OwnExporter", 'name = "fx"': 'name = "own"'},
        {"exporters/__init__.py": ("STRATEGIES = {", 'STRATEGIES = {"own": "onnx_tagger.exporters.own:OwnExporter",')},
    ),
}


def table() -> dict[str, list[str]]:
    """The cells of each row, by the first."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("| I want to add |")[2]
    lines = text.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which every row of the table has been done."""
    copy = tmp_path_factory.mktemp("contributed") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFTOVERS))
    for row in ROWS.values():
        shutil.copy(copy / row.copied, copy / row.made)
        for old, new in row.changes.items():
            replaced(copy / row.made, old, new)
        for name, (old, new) in row.touched.items():
            replaced(copy / name, old, new)
    return copy


@pytest.fixture(scope="module")
def site(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the copy is installed."""
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-index"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with plain.onnx and its map."""
    onnx.save(tiny_model(), tmp_path / "plain.onnx")
    TREE.save(tmp_path / "tiny.hierarchy.json")
    return tmp_path


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command that was installed from the copy."""
    command = [sys.executable, "-m", "onnx_tagger", *arguments]
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def test_the_table_has_a_row_for_each_example() -> None:
    assert table().keys() == ROWS.keys()


@pytest.mark.parametrize("name", ROWS)
def test_a_row_names_the_files_that_the_example_copies_and_touches(name: str) -> None:
    row, (copied, _, touched) = ROWS[name], table()[name]
    assert copied == f"`{row.copied}`"
    assert set(re.findall(r"`([a-z_./]+\.[a-z]+)`", touched)) == row.touched.keys()
    assert Path(row.made).parent == Path(row.copied).parent


def test_a_command_is_listed_documented_and_run(checkout: Path, site: Path, files: Path) -> None:
    assert re.search(r"^[│ ]*hello-world {2,}", run(site, files, "--help").stdout, re.MULTILINE)
    done = run(site, files, "hello-world")
    assert (done.returncode, done.stderr) == (0, "")
    assert "coverage" in done.stdout
    # The repository's own tests ask for nothing more.
    tests = [str(checkout / "tests" / "cli" / "test_commands.py"), "-k", "folder or page", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    environment = os.environ | {"PYTHONPATH": str(site)}
    tested = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, env=environment)
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout


def test_a_form_of_output_is_taken(site: Path, files: Path) -> None:
    done = run(site, files, "check", "plain.onnx", "--format", "loud")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("PLAIN.ONNX: FAILED")
    assert "loud" in run(site, files, "check", "--help").stdout


def test_a_pass_and_its_analysis_are_run(site: Path, files: Path) -> None:
    listed = run(site, files, "passes").stdout
    assert re.search(r"^tally +onnx-tagger ", listed, re.MULTILINE)
    line = "retag plain.onnx --map tiny.hierarchy.json -o out.onnx --pass tally --report r.json"
    done = run(site, files, *line.split())
    assert done.returncode == 0, done.stderr
    # Of the five nodes, the Constant gives the shape alone.
    assert "note: 1 compute no data" in done.stderr
    report = json.loads((files / "r.json").read_text("utf-8"))
    assert "tally" in [step["name"] for step in report["passes"]]


def test_a_measure_is_a_column(site: Path, files: Path) -> None:
    done = run(site, files, *["retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "tagged.onnx"])
    assert done.returncode == 0, done.stderr
    done = run(site, files, *["tree", "tagged.onnx", "--depth", "0", "--measure", "doubled"])
    assert (done.returncode, done.stdout) == (0, "Tiny  (root)  0 nodes, 5 with all below, doubled 10\n")


def test_an_export_strategy_is_offered(site: Path, files: Path) -> None:
    assert "auto|own|fx|htp" in "".join(re.findall(r"[a-z|]+", run(site, files, "export", "--help").stdout))


@pytest.mark.slow
def test_an_export_strategy_exports(site: Path, files: Path) -> None:
    (files / "net.py").write_text(
        "import torch\n\ndef make():\n    return torch.nn.Linear(2, 3), (torch.ones(1, 2),)\n"
    )
    for strategy in ("own", "auto"):
        done = run(site, files, "export", "net.py:make", "-o", f"{strategy}.onnx", "--strategy", strategy)
        assert done.returncode == 0, done.stderr
        assert "strategy own" in done.stdout
