"""Maps and tags seen from a module, and back."""

from __future__ import annotations

import pytest

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import fits
from onnx_tagger.workflows.cutting.relative import absolute_tag, relative_tag, rerooted

TREE = ot.HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("down", "ModuleList", tagged=False, keyed=True),
        ModuleRow("up", "ModuleList", tagged=False, keyed=True),
        *(ModuleRow(f"{side}.{k}", "Blk") for side in ("down", "up") for k in "01"),
        *(ModuleRow(f"{side}.{k}.fc", "Linear") for side in ("down", "up") for k in "01"),
    ]
)


@pytest.mark.parametrize("path", ["", "down", "down.1", "up.0.fc"])
def test_every_tag_fits_its_module_and_comes_back(path: str) -> None:
    part = rerooted(TREE, path)
    assert part.by_path[""].tag is not None
    for module in TREE.modules:
        if module.tag is None or not (module.path == path or module.path.startswith(f"{path}.") or not path):
            continue
        tag = ot.Tag(module.path, module.tag, ot.Source.MATCHED)
        seen = relative_tag(tag, path, part)
        assert fits(seen.tag, seen.module)
        assert absolute_tag(seen, path, TREE) == tag


def test_keys_of_containers_around_are_gone() -> None:
    assert {module.path: module.tag for module in rerooted(TREE, "down").modules} == {
        "": "/ModuleList",
        "0": "/ModuleList/Blk.0",
        "1": "/ModuleList/Blk.1",
        "0.fc": "/ModuleList/Blk.0/Linear",
        "1.fc": "/ModuleList/Blk.1/Linear",
    }


def test_work_of_modules_outside_is_the_root_s_as_inherited() -> None:
    part = rerooted(TREE, "down.0")
    seen = relative_tag(TREE.tag("up.0.fc", ot.Source.EXPORTED), "down.0", part)
    assert (seen.module, seen.tag, seen.source) == ("", "/Blk", ot.Source.INHERITED)


def test_origins_and_calls_are_seen_from_the_module() -> None:
    part = rerooted(TREE, "down.0")
    tag = ot.Tag("", "/Net", ot.Source.ALIGNED, ("down.0", "down.0.fc", "up.0"), ("down.0@1.fc@2",))
    seen = relative_tag(tag, "down.0", part)
    assert (seen.module, seen.origins, seen.call) == ("", ("", "fc"), ("fc@2",))
