"""Wrong arguments of the public functions: an error of this package with one sentence, never one from deep inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from onnx_tagger.hierarchy.naming import ModuleRow

Call = Callable[[object], object]

TREE = ot.HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("act", "ReLU")])


def model() -> onnx.ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"], name="act")
    return helper.make_model(helper.make_graph([node], "net", [], []))


class Module:
    """What stands for a module of torch where a path belongs."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(model(), "m.onnx")
    TREE.save("m.hierarchy.json")
    Path("text.onnx").write_text('{"format": "something"}')
    Path("empty.onnx").touch()
    Path("folder").mkdir()
    return tmp_path


NO_PATHS = [None, 3, 1.5, True, [], ["m.onnx"], {}, b"m.onnx", Module(), Module, object(), ""]
NO_FILES = [
    "folder",
    "missing.onnx",
    "missing/m.onnx",
    "text.onnx",
    "empty.onnx",
    "m.hierarchy.json",
    "a\0b",
    "x" * 9999,
]
NO_MAPS = [3, True, [], {}, b"m", Module(), Module, "", "folder", "missing.json", "text.onnx", "m.onnx", "a\0b"]
NO_PASSES = ["match", ot.Match, ot.Match(), [ot.Match], ["match"], [None], 3, None]
NO_NAMES = [3, "namespace", [3], ["no such dialect"]]

FILES: dict[str, Call] = {
    "retag": lambda value: ot.retag(value, TREE, "out.onnx"),  # type: ignore[arg-type]
    "check": lambda value: ot.check(value),  # type: ignore[arg-type]
    "stats": lambda value: ot.stats(value),  # type: ignore[arg-type]
    "strip": lambda value: ot.strip(value, "out.onnx"),  # type: ignore[arg-type]
    "profile": lambda value: ot.profile(value),  # type: ignore[arg-type]
    "optimize": lambda value: ot.optimize(value, "out.onnx"),  # type: ignore[arg-type]
    "quantize": lambda value: ot.quantize(value, "out.onnx", dynamic=True),  # type: ignore[arg-type]
    "sensitivity": lambda value: ot.sensitivity(value, "d.npz"),  # type: ignore[arg-type]
    "infer": lambda value: ot.infer(value),  # type: ignore[arg-type]
    "attribute": lambda value: ot.attribute("openvino.json", value),  # type: ignore[arg-type]
    "place": lambda value: ot.place(value, "gpu(act)"),  # type: ignore[arg-type]
    "split": lambda value: ot.split(value, "stages", "act | **"),  # type: ignore[arg-type]
    "extract": lambda value: ot.extract(value, "act", "out.onnx"),  # type: ignore[arg-type]
    "splice": lambda value: ot.splice(value, "act", "m.onnx", "out.onnx"),  # type: ignore[arg-type]
    "splice, part": lambda value: ot.splice("m.onnx", "act", value, "out.onnx", map=TREE),  # type: ignore[arg-type]
    "each": lambda value: ot.each(value, "act", "out.onnx", lambda model: None),  # type: ignore[arg-type]
    "carry": lambda value: ot.carry(value, "out.onnx", lambda model: None),  # type: ignore[arg-type]
    "functions": lambda value: ot.functions(value, "out.onnx"),  # type: ignore[arg-type]
}
TARGETS: dict[str, Call] = {
    "retag": lambda value: ot.retag("m.onnx", TREE, value),  # type: ignore[arg-type]
    "strip": lambda value: ot.strip("m.onnx", value),  # type: ignore[arg-type]
    "optimize": lambda value: ot.optimize("m.onnx", value),  # type: ignore[arg-type]
    "quantize": lambda value: ot.quantize("m.onnx", value, dynamic=True),  # type: ignore[arg-type]
    "carry": lambda value: ot.carry("m.onnx", value, lambda model: None, hierarchy=TREE),  # type: ignore[arg-type]
    "save": lambda value: ot.save(model(), value),  # type: ignore[arg-type]
    "functions": lambda value: ot.functions("m.onnx", value, hierarchy=TREE),  # type: ignore[arg-type]
    "map": lambda value: TREE.save(value),  # type: ignore[arg-type]
    "export": lambda value: ot.export(Module(), (), value),  # type: ignore[arg-type]
}
MAPS: dict[str, Call] = {
    "retag": lambda value: ot.retag("m.onnx", value, "out.onnx"),  # type: ignore[arg-type]
    "check": lambda value: ot.check("m.onnx", value),  # type: ignore[arg-type]
    "stats": lambda value: ot.stats("m.onnx", value),  # type: ignore[arg-type]
    "carry": lambda value: ot.carry("m.onnx", "out.onnx", lambda m: None, hierarchy=value),  # type: ignore[arg-type]
    "run": lambda value: ot.PassManager([]).run(model(), value),  # type: ignore[arg-type]
    "functions": lambda value: ot.functions("m.onnx", "out.onnx", hierarchy=value),  # type: ignore[arg-type]
    "profile": lambda value: ot.profile("m.onnx", value),  # type: ignore[arg-type]
    "load": lambda value: ot.HierarchyMap.load(value),  # type: ignore[arg-type]
}
PASSES: dict[str, Call] = {
    "manager": lambda value: ot.PassManager(value),  # type: ignore[arg-type]
    "retag": lambda value: ot.retag("m.onnx", TREE, "out.onnx", passes=value),  # type: ignore[arg-type]
}
NAMES: dict[str, Call] = {
    "retag": lambda value: ot.retag("m.onnx", TREE, "out.onnx", also=value),  # type: ignore[arg-type]
    "default_passes": lambda value: ot.default_passes(also=value),  # type: ignore[arg-type]
    "carry": lambda value: ot.carry("m.onnx", "o.onnx", lambda m: None, hierarchy=TREE, also=value),  # type: ignore[arg-type]
}
OTHERS: dict[str, tuple[Call, list[object]]] = {
    "run": (
        lambda v: ot.PassManager([]).run(v),
        [None, 3, [], Module(), Module, TREE, "", "missing.onnx", b"no model"],
    ),  # type: ignore[arg-type]
    "run whole": (
        lambda v: ot.PassManager([ot.GraphSurgeonPass(lambda graph: None)]).run(v),  # type: ignore[arg-type]
        ["missing.onnx", "folder", "text.onnx", b"no model", 3],
    ),
    "run, report": (lambda v: ot.PassManager([]).run(model(), report=v), [3, {}, "report", ot.Report]),  # type: ignore[arg-type]
    "run_in": (lambda v: ot.PassManager([]).run_in(v), [None, model(), "m.onnx"]),  # type: ignore[arg-type]
    "context": (lambda v: ot.Context(v), [None, "m.onnx", Module()]),  # type: ignore[arg-type]
    "context, map": (lambda v: ot.Context(model(), v), [3, "m.hierarchy.json", []]),  # type: ignore[arg-type]
    "get": (lambda v: ot.Context(model()).get(v), [None, "DataFlow", ot.DataFlow(), ot.Match]),  # type: ignore[arg-type]
    "save": (lambda v: ot.save(v, "out.onnx"), [None, "m.onnx", b"m", Module(), TREE]),  # type: ignore[arg-type]
    "read": (lambda v: ot.read(v), [None, 3, True, [], {}, Module(), Module, TREE, b"no model", *NO_FILES]),  # type: ignore[arg-type]
    "read, map": (lambda v: ot.read("m.onnx", v), NO_MAPS),  # type: ignore[arg-type]
    "tag_of": (lambda v: ot.tag_of(v), [None, 3, "act", model()]),  # type: ignore[arg-type]
    "write_tag": (lambda v: ot.write_tag(v, TREE.tag("act", ot.Source.MATCHED)), [None, 3, "act", model()]),  # type: ignore[arg-type]
    "write_tag, tag": (lambda v: ot.write_tag(model().graph.node[0], v), [None, 3, "/Net/ReLU", ot.Tag]),  # type: ignore[arg-type]
    "coverage": (lambda v: ot.check("m.onnx", min_coverage=v), [None, "100", True, 101, -1]),  # type: ignore[arg-type]
    "root": (lambda v: ot.check("m.onnx", max_root=v), [None, "1", 1.5]),  # type: ignore[arg-type]
    "inherited": (lambda v: ot.check("m.onnx", max_inherited=v), ["1", 1.5, []]),  # type: ignore[arg-type]
    "named": (lambda v: ot.check("m.onnx", max_named=v), ["1", 1.5, []]),  # type: ignore[arg-type]
    "dialect": (lambda v: ot.check("m.onnx", dialect=v), [3, "none of them", []]),  # type: ignore[arg-type]
    "limits": (lambda v: ot.default_passes(limits=v), [3, {}, "all", ot.Limits]),  # type: ignore[arg-type]
    "merge": (lambda v: ot.default_passes(merge=v), [None, 3, "inner"]),  # type: ignore[arg-type]
    "ir version": (lambda v: ot.retag("m.onnx", TREE, "o.onnx", ir_version=v), ["10", 1.5, 2]),  # type: ignore[arg-type]
    "inputs": (lambda v: ot.retag("m.onnx", TREE, "o.onnx", inputs=v), [3, "v.npz", []]),  # type: ignore[arg-type]
    "strip, report": (lambda v: ot.strip("m.onnx", "o.onnx", report=v), [3, {}]),  # type: ignore[arg-type]
    "tool": (lambda v: ot.carry("m.onnx", "o.onnx", v), [None, 3, "onnxslim {in} {out}", ["a"]]),  # type: ignore[arg-type]
    "command": (lambda v: ot.Command(v), [None, 3, "onnxslim {in} {out}", [], [3], ["a"]]),  # type: ignore[arg-type]
    "map": (lambda v: ot.HierarchyMap(v), [(), (3,), ("",)]),  # type: ignore[arg-type]
    "chain": (TREE.chain, ["elsewhere", None, 3]),  # type: ignore[dict-item]
    "enclosing": (lambda v: TREE.enclosing(v), [["elsewhere"], "act"]),  # type: ignore[arg-type]
    "tag": (lambda v: TREE.tag(v, ot.Source.MATCHED), [None, 3, "elsewhere"]),  # type: ignore[arg-type]
    "depth": (lambda v: ot.functions("m.onnx", "o.onnx", depth=v), ["1", 1.5, 0, []]),  # type: ignore[arg-type]
    "export": (lambda v: ot.export(v, ()), [None, 3, "net.py", Module(), Module, []]),  # type: ignore[arg-type]
    "profile, inputs": (lambda v: ot.profile("m.onnx", inputs=v), [3, "", "missing.npz", "text.onnx", "a\0b"]),  # type: ignore[arg-type]
    "profile, level": (lambda v: ot.profile("m.onnx", level=v), [None, 3, "fast"]),  # type: ignore[arg-type]
    "profile, settings": (lambda v: ot.profile("m.onnx", settings=v), ["a=1", [3], ["a=1"], 3]),  # type: ignore[arg-type]
    "profile, provider": (lambda v: ot.profile("m.onnx", provider=v), [3, "abacus"]),  # type: ignore[arg-type]
    "profile, threads": (lambda v: ot.profile("m.onnx", threads=v), ["1", -1, True, None]),  # type: ignore[arg-type]
    "profile, sessions": (lambda v: ot.profile("m.onnx", sessions=v), ["1", 0, None]),  # type: ignore[arg-type]
    "profile, runs": (lambda v: ot.profile("m.onnx", runs=v), ["1", 0, 1.5]),  # type: ignore[arg-type]
    "profile, seed": (lambda v: ot.profile("m.onnx", seed=v), ["1", None, -1]),  # type: ignore[arg-type]
    "load profile": (lambda v: ot.Profile.load(v), [None, 3, "", "missing.json", "m.onnx", "m.hierarchy.json", "a\0b"]),  # type: ignore[arg-type]
    "record": (lambda v: ot.record(v, ()), [None, 3, "net.py", Module(), Module, []]),  # type: ignore[arg-type]
    "compare": (lambda v: ot.compare(v, "m.onnx"), [None, 3, Module(), Module, [], *NO_FILES]),  # type: ignore[arg-type]
    "optimize, metric": (lambda v: ot.optimize("m.onnx", "o.onnx", metric=v), [3, [], "judge", "no.py:f"]),  # type: ignore[arg-type]
    "optimize, speedup": (lambda v: ot.optimize("m.onnx", "o.onnx", speedup=v), ["2", [], -1, float("nan")]),  # type: ignore[arg-type]
    "optimize, stages": (lambda v: ot.optimize("m.onnx", "o.onnx", stages=v), [3, None, "graph", ["other"], [3]]),  # type: ignore[arg-type]
    "compare, file": (lambda v: ot.compare("m.onnx", v), [*NO_PATHS, *NO_FILES]),  # type: ignore[arg-type]
    "compare, inputs": (lambda v: ot.compare("m.onnx", "m.onnx", v), [3, "v.npz", [3]]),  # type: ignore[arg-type]
    "compare, metric": (lambda v: ot.compare("m.onnx", "m.onnx", metric=v), [None, 3, "psnr"]),  # type: ignore[arg-type]
    "compare, tolerance": (lambda v: ot.compare("m.onnx", "m.onnx", tolerance=v), ["1", -1, float("nan")]),  # type: ignore[arg-type]
    "compare, samples": (lambda v: ot.compare("m.onnx", "m.onnx", samples=v), [None, "1", 0, 1.5]),  # type: ignore[arg-type]
    "attribute, profile": (lambda v: ot.attribute(v, "m.onnx"), [None, 3, "", "missing.json", "m.onnx", "a\0b"]),  # type: ignore[arg-type]
    "attribute, form": (lambda v: ot.attribute("openvino.json", "m.onnx", form=v), [3, "xla", []]),  # type: ignore[arg-type]
    "capture": (lambda v: ot.capture(v, ()), [None, 3, "net.py", Module(), Module, []]),  # type: ignore[arg-type]
    "place, model": (lambda v: ot.place(v, "gpu(act)"), [None, model(), Module()]),  # type: ignore[arg-type]
    "place, rules": (lambda v: ot.place("m.onnx", v), [None, 3, [], "", "gpu", "gpu()"]),  # type: ignore[arg-type]
    "place, map": (lambda v: ot.place("m.onnx", "gpu(act)", map=v), NO_MAPS),  # type: ignore[arg-type]
    "extract, module": (lambda v: ot.extract("m.onnx", v, "o.onnx", map=TREE), [None, 3, [], "none", b"act"]),  # type: ignore[arg-type]
    "extract, output": (lambda v: ot.extract("m.onnx", "act", v, map=TREE), [None, 3, "", "folder", "missing/m.onnx"]),  # type: ignore[arg-type]
    "extract, call": (lambda v: ot.extract("m.onnx", "act", "o.onnx", call=v, map=TREE), ["1", 1.5, -1, 7]),  # type: ignore[arg-type]
    "extract, fused": (lambda v: ot.extract("m.onnx", "act", "o.onnx", fused=v, map=TREE), [None, 3, "some"]),  # type: ignore[arg-type]
    "extract, names": (lambda v: ot.extract("m.onnx", "act", "o.onnx", names=v, map=TREE), [None, 3, "onnx"]),  # type: ignore[arg-type]
    "extract, back": (lambda v: ot.extract("m.onnx", "act", "o.onnx", back=v, map=TREE), [None, 3, "keep"]),  # type: ignore[arg-type]
    "extract, map": (lambda v: ot.extract("m.onnx", "act", "o.onnx", map=v), NO_MAPS),  # type: ignore[arg-type]
    "splice, module": (lambda v: ot.splice("m.onnx", v, "m.onnx", "o.onnx", map=TREE), [None, 3, [], "none"]),  # type: ignore[arg-type]
    "each, modules": (lambda v: ot.each("m.onnx", v, "o.onnx", lambda m: None, map=TREE), [None, 3, [], "none"]),  # type: ignore[arg-type]
    "each, tool": (lambda v: ot.each("m.onnx", "act", "o.onnx", v, map=TREE), [None, 3, "onnxslim {in} {out}"]),  # type: ignore[arg-type]
    "each, gain": (lambda v: ot.each("m.onnx", "act", "o.onnx", len, gain=v, map=TREE), [None, 3, "better"]),  # type: ignore[arg-type]
    "each, tolerance": (lambda v: ot.each("m.onnx", "act", "o.onnx", len, tolerance=v, map=TREE), ["1", []]),  # type: ignore[arg-type]
    "each, runs": (lambda v: ot.each("m.onnx", "act", "o.onnx", len, runs=v, map=TREE), ["1", 1.5, None, 0]),  # type: ignore[arg-type]
    "split, folder": (lambda v: ot.split("m.onnx", v, "act | **"), [None, 3, "", []]),  # type: ignore[arg-type]
    "split, stages": (lambda v: ot.split("m.onnx", "s", v), [3, [], "", "act", "act |"]),  # type: ignore[arg-type]
    "split, balance": (lambda v: ot.split("m.onnx", "s", balance=v), ["2", 1, 1.5, True, None]),  # type: ignore[arg-type]
    "split, by": (lambda v: ot.split("m.onnx", "s", balance=2, by=v), [None, 3, "weights"]),  # type: ignore[arg-type]
    "split, map": (lambda v: ot.split("m.onnx", "s", "act | **", map=v), NO_MAPS),  # type: ignore[arg-type]
}


def shown(value: object) -> str:
    """A value in the name of a test, which must be the same in every process: without addresses."""
    return repr(value).partition(" at 0x")[0]


CASES = [
    *((f"{name}({shown(value):.30})", call, value) for name, call in FILES.items() for value in [*NO_PATHS, *NO_FILES]),
    *(
        (f"target of {name}({shown(value):.30})", call, value)
        for name, call in TARGETS.items()
        for value in [*NO_PATHS, "folder", "no/f.onnx"]
    ),
    *((f"map of {name}({shown(value):.30})", call, value) for name, call in MAPS.items() for value in NO_MAPS),
    *((f"passes of {name}({shown(value):.30})", call, value) for name, call in PASSES.items() for value in NO_PASSES),
    *((f"names of {name}({shown(value):.30})", call, value) for name, call in NAMES.items() for value in NO_NAMES),
    *((f"{name}({shown(value):.30})", call, value) for name, (call, values) in OTHERS.items() for value in values),
]


@pytest.mark.parametrize(("call", "value"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_argument_is_told_in_a_sentence(call: Call, value: object, folder: Path) -> None:
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(ot.TaggerError) as caught:
        call(value)
    sentence = str(caught.value)
    assert 20 < len(sentence) < 12_000
    assert not any(word in sentence for word in ("AttributeError", "TypeError", "NoneType", "object has no", "0x"))
    assert sorted(path.name for path in folder.rglob("*")) == before


def test_every_public_function_is_in_the_table() -> None:
    functions = {name for name in ot.__all__ if inspect.isfunction(getattr(ot, name))}
    told = " ".join(case[0] for case in CASES)
    assert {name for name in functions if name not in told} == set()


def test_a_sentence_says_what_was_given_and_what_to_give() -> None:
    with pytest.raises(ot.TaggerError, match=r"^the model is None; give the path of a file$"):
        ot.check(None)  # type: ignore[arg-type]
    with pytest.raises(ot.PassError, match=r"^the passes are the str 'match': give a list of passes, such as \[Match"):
        ot.PassManager("match")  # type: ignore[arg-type]
    with pytest.raises(ot.PassError, match=r"^Match is the class of a pass: give an instance of it, Match\(\)$"):
        ot.PassManager([ot.Match])  # type: ignore[list-item]
    with pytest.raises(
        ot.TaggerError, match=r"^the list of dialects is the str 'winml'; give a list of names, \['winml'\]$"
    ):
        ot.default_passes(also="winml")
