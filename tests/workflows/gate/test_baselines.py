"""Holding files to a baseline, and its file."""

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.gate.baseline import Baseline
from onnx_tagger.workflows.gate.baselines import every_node, hold, load, place_in, save
from onnx_tagger.workflows.gating import Terms, check_by, ignored

FILE = Path("tags.json")


def held(*files: str, baseline: Baseline | None = None, strict: bool = False, ignore: str = "") -> "tuple[object, ...]":
    pairs = list(zip(files, check_by(files, lambda _: every_node(Terms())), strict=True))
    ids = ignored([], [ignore] if ignore else [])
    found = hold(pairs, baseline or Baseline(), FILE, strict=strict, left_out=lambda _: ids)
    return [each.says for each in found.gated.findings], list(found.gated.notes), found.updated.files


@pytest.mark.usefixtures("nets")
class TestHolding:
    """before.onnx has an untagged node and one that inherited its tag; plain.onnx an untagged one."""

    def test_what_is_not_recorded_is_found(self) -> None:
        says, notes, counts = held("before.onnx")
        assert says == ["loose (main#5 Cast) has no tag", "main/If_3.else_branch#0 Abs inherited its tag"]
        assert (notes, counts) == ([], {"before.onnx": {"untagged": {"-": 1}, "inherited": {"layers.1.fc": 1}}})

    def test_what_is_recorded_holds_also_behind_a_tool(self) -> None:
        counts = held("before.onnx")[2]
        assert isinstance(counts, dict)
        assert held("before.onnx", baseline=Baseline(counts)) == ([], [], counts)
        Path("after.onnx").replace("before.onnx")  # three nodes are one: every position has moved
        assert held("before.onnx", baseline=Baseline(counts))[:2] == ([], [])

    def test_entries_that_could_be_tightened(self) -> None:
        known = Baseline({"plain.onnx": {"untagged": {"-": 3}}, "gone.onnx": {"root": {"": 1}}})
        says, notes, counts = held("plain.onnx", baseline=known)
        assert says == []
        assert notes == [
            "tags.json: 2 entries could be tightened with --update-baseline (plain.onnx: what names no module has "
            "1 untagged node, the baseline records 3)"
        ]
        assert counts == {"plain.onnx": {"untagged": {"-": 1}}}
        says, notes, _ = held("plain.onnx", baseline=known, strict=True)
        assert says == [
            "what names no module has 1 untagged node, the baseline records 3",
            "gone.onnx is recorded, but there is no such file",
        ]
        assert notes == []
        assert held("plain.onnx", baseline=known, strict=True, ignore="OT010")[0] == []

    def test_files_that_were_not_checked_and_unreadable_ones_keep_their_entries(self) -> None:
        Path("bad.onnx").write_text("{}")
        known = {name: {"untagged": {"-": 1}} for name in ("bad.onnx", "before.onnx", "plain.onnx")}
        says, _, counts = held("plain.onnx", "bad.onnx", baseline=Baseline(known))
        assert counts == known
        assert isinstance(says, list)
        assert [text[:8] for text in says] == ["bad.onnx"]

    def test_rules_that_are_left_out(self) -> None:
        assert held("before.onnx", ignore="OT001")[0] == ["main/If_3.else_branch#0 Abs inherited its tag"]


def test_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    known = Baseline({"a.onnx": {"inherited": {"enc.0": 2}}, "b.onnx": {"untagged": {"-": 1}}})
    save(known, FILE)
    assert load(FILE) == known
    assert FILE.read_text().splitlines()[1:3] == [
        '"a.onnx":{"inherited":{"enc.0":2}},',
        '"b.onnx":{"untagged":{"-":1}}',
    ]
    save(Baseline(), FILE)
    assert load(FILE) == Baseline()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "is no baseline: Expected `object`, got `array`; write it anew"),
        ('{"format":"x","version":1,"files":{}}', "is 'x' version 1, not 'onnx-tagger/baseline' version 1"),
        (
            '{"format":"onnx-tagger/baseline","version":1,"files":{"a":{"x":{}}}}',
            "counts 'x', which is none of untagged",
        ),
        ('{"format":"onnx-tagger/baseline","version":1,"files":{"a":{"root":{"":"1"}}}}', "Expected `int`, got `str`"),
    ],
)
def test_files_that_are_no_baseline(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(TaggerError) as raised:
        load(tmp_path / "b.json")
    assert sentence in str(raised.value)


def test_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="there is no such baseline; --update-baseline writes it"):
        load(tmp_path / "b.json")


def test_names_start_from_its_folder() -> None:
    assert place_in(Path("ci/tags.json"), "models/a.onnx") == "../models/a.onnx"
    assert place_in(FILE, "https://me:secret@host/a.onnx") == "https://***@host/a.onnx"
