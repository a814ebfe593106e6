"""Tagging and checking files beside `cp` and beside what else can write metadata: seconds and memory.

python benchmarks/files.py             ResNet-50 and BERT-base (0.1 and 0.4 GB), external data of 5 GB
python benchmarks/files.py --big       BERT-large (1.4 GB), too
python benchmarks/files.py --peers     the peers that load and save everything, too, on files below 0.6 GB (slow)
"""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import onnx
from measure import Series, interleaved, machine, peaks, quiet, removed, synced, table
from subjects import Subject, exported, graph, map_of

import onnx_tagger as ot
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.model.metadata import PAD, Source, Tag, write_node

TAG = Tag("b.c.query", "/A/B/C.query", Source.MATCHED)

Way = Callable[[], object]

_PEER = {
    "onnx": """
import onnx
model = onnx.load(sys.argv[1])
for node in model.graph.node:
    for key in ("tag", "module", "source"):
        node.metadata_props.add(key="pkg.some." + key, value="/A/B/C.query")
onnx.save(model, sys.argv[2])
""",
    "onnx-ir": """
import onnx_ir
model = onnx_ir.load(sys.argv[1])
for node in model.graph:
    for key in ("tag", "module", "source"):
        node.metadata_props["pkg.some." + key] = "/A/B/C.query"
onnx_ir.save(model, sys.argv[2])
""",
    "onnx-graphsurgeon (loses them)": """
import onnx, onnx_graphsurgeon
graph = onnx_graphsurgeon.import_onnx(onnx.load(sys.argv[1]))
for node in graph.nodes:
    node.metadata = "/A/B/C.query"
onnx.save(onnx_graphsurgeon.export_onnx(graph), sys.argv[2])
""",
}

_RETAG = """
import onnx_tagger as ot
ot.retag(sys.argv[1], sys.argv[3], sys.argv[2])
"""
_CHECK = """
import onnx_tagger as ot
ot.check(sys.argv[1])
"""
_NOTHING = "import onnx"

# The peers hold a file three to four times in memory.
_FOR_PEERS = 600_000_000


def copied(source: Path, target: Path) -> None:
    """`cp`, then waiting for the disk, as whoever replaces a file has to."""
    subprocess.run(["cp", source, target], check=True)
    synced(target)


def by_peer(code: str, source: Path, target: Path) -> Way:
    """A peer's way in this very process; it waits for the disk like the others."""
    compiled = compile("import sys\n" + code, "peer", "exec")

    def run() -> None:
        import sys

        before, sys.argv = sys.argv, ["peer", str(source), str(target)]
        try:
            exec(compiled, {})
        finally:
            sys.argv = before
        synced(target)

    return run


def ways_of(subject: Subject, target: Path, peers: bool) -> dict[str, Way]:
    found: dict[str, Way] = {
        "cp": lambda: copied(subject.path, target),
        "onnx-tagger retag": lambda: ot.retag(subject.path, subject.map_path, target),
    }
    if peers:
        found |= {name: by_peer(code, subject.path, target) for name, code in _PEER.items()}
    return found


def embedded(subject: Subject, folder: Path, peers: bool) -> None:
    """The rows of a file with its weights in it."""
    target, tagged = folder / "target.onnx", folder / "tagged.onnx"
    ot.retag(subject.path, subject.map_path, tagged)
    times = interleaved(ways_of(subject, target, peers), before=removed(target))
    # The copy for the second table does not wait for the disk: a check writes nothing.
    reading: dict[str, Way] = {
        "cp": lambda: subprocess.run(["cp", tagged, target], check=True),
        "onnx-tagger check": lambda: ot.check(tagged),
        "onnx.load": lambda: onnx.load(tagged),
    }
    checks = interleaved(reading, before=removed(target))
    arguments = (subject.path, target, subject.map_path)
    codes = {"import onnx": _NOTHING, "onnx-tagger retag": _RETAG, **(_PEER if peers else {})}
    memory = peaks({name: (code, arguments) for name, code in codes.items()})
    memory["onnx-tagger check"] = peaks({"": (_CHECK, (tagged,))})[""]
    target.unlink(missing_ok=True)
    tagged.unlink()
    size = f"{subject.name}, {subject.bytes / 1e6:.0f} MB, {subject.nodes} nodes"
    shown_times(f"{size}: tag, ÷ `cp` and fsync", times, "cp", memory)
    shown_times(f"{size}: check, ÷ `cp`", checks, "cp", memory)
    allowed = 10 + subject.nodes / 1000
    more = memory["onnx-tagger retag"] - memory["import onnx"]
    print(f"\nmemory over `import onnx`: {more:.1f} MB, of {allowed:.1f} MB allowed", flush=True)


def shown_times(title: str, times: Mapping[str, Series], base: str, memory: Mapping[str, float]) -> None:
    rows = [
        (
            name,
            series.shown(".3f"),
            series.over(times[base]).shown(),
            series.busy.over(times[base].busy).shown(),
            f"{memory[name] - memory['import onnx']:+.1f}" if name in memory else "",
        )
        for name, series in times.items()
    ]
    table(title, ("way", "seconds", f"÷ {base}", "processor seconds ÷ its", "MB over `import onnx`"), rows)


def external(folder: Path, *, noted: bool) -> None:
    """The row of a small file whose weights, 5 GB that take no room on the disk, lie beside it.

    With notes, its nodes hold what torch's exporter leaves on each.
    """
    model = graph(1300)
    for number, node in enumerate(model.graph.node if noted else ()):
        for key, value in torch_notes(number):
            node.metadata_props.add(key=key, value=value)
    with (folder / "weights.bin").open("wb") as stream:
        stream.truncate(5 << 30)
    for number in range(80):
        tensor = model.graph.initializer.add(name=f"stored_{number}", data_type=1, dims=[1 << 24])
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", number << 26), ("length", 1 << 26)):
            tensor.external_data.add(key=key, value=str(value))
    path, target, saved = folder / "external.onnx", folder / "target.onnx", folder / "external.hierarchy.json"
    onnx.save(model, path)
    hierarchy = map_of(model)
    hierarchy.save(saved)

    def by_onnx() -> None:
        loaded = onnx.load(path, load_external_data=False)
        for node in loaded.graph.node:
            for key in ("tag", "module", "source"):
                node.metadata_props.add(key=f"pkg.some.{key}", value="/A/B/C.query")
        onnx.save(loaded, target)
        synced(target)

    ways: dict[str, Way] = {
        "onnx (without data) + metadata + save": by_onnx,
        "onnx-tagger retag": lambda: ot.retag(path, saved, target),
        "onnx-tagger retag, the map in memory": lambda: ot.retag(path, hierarchy, target),
        "onnx-tagger: read, write the tags, splice": lambda: written(path, target),
    }
    times = interleaved(ways, before=removed(target))
    what = "with torch's metadata" if noted else "without metadata"
    size = f"{path.stat().st_size / 1e6:.1f} MB and 5 GB of external data, {len(model.graph.node)} nodes {what}"
    shown_times(f"{size}: tag", times, "onnx (without data) + metadata + save", {})


def torch_notes(number: int) -> list[tuple[str, str]]:
    """Metadata of the kind and length that torch's dynamo exporter leaves on a node."""
    path = f"model.layers.{number // 40}.self_attn"
    frames = "".join(
        f'File "/site-packages/transformers/models/some/modeling_some.py", line {line}, in forward\n    x = self.y(x)\n'
        for line in range(number, number + 8)
    )
    return [
        ("namespace", f": SomeModel/model.layers.{number // 40}: SomeLayer/{path}: SomeAttention/linear: aten.linear"),
        ("pkg.torch.onnx.class_hierarchy", f"['SomeModel', 'SomeLayer', 'SomeAttention', 'aten.linear.{number}']"),
        ("pkg.torch.onnx.fx_node", f"%linear_{number} : [num_users=1] = call_function[target=torch.ops.aten.linear]"),
        ("pkg.torch.onnx.name_scopes", f"['', 'model.layers.{number // 40}', '{path}', 'linear_{number}']"),
        ("pkg.torch.onnx.stack_trace", frames),
    ]


def written(path: Path, target: Path) -> None:
    """What the peer does, by our means: the entries are known and only have to be written."""
    skeleton = read_skeleton(path)
    for node in skeleton.model.graph.node:
        write_node(node, TAG, ())
    write_spliced(skeleton, target)


def copying(folder: Path) -> None:
    """How the splice copies: with the weights in step with the pages, out of step, and where the kernel cannot copy.

    Nobody waits for the disk here, whose noise would cover the differences.
    """
    path, target = folder / "large.onnx", folder / "target.onnx"
    onnx.save(graph(1000, 448 << 20), path)

    def spliced(pad_key: str | None, *without: str) -> None:
        skeleton = read_skeleton(path)
        for node in skeleton.model.graph.node:
            write_node(node, TAG, ())
        with ExitStack() as stack:
            stack.enter_context(mock.patch("os.fsync"))
            for call in without:
                stack.enter_context(mock.patch(f"os.{call}", refused))
            write_spliced(skeleton, target, pad_key=pad_key)

    def refused(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    ways: dict[str, Way] = {
        "cp": lambda: subprocess.run(["cp", path, target], check=True),
        "splice, weights in step": lambda: spliced(PAD),
        "splice, weights out of step": lambda: spliced(None),
        "splice by `sendfile`": lambda: spliced(PAD, "copy_file_range"),
        "splice through a buffer": lambda: spliced(PAD, "copy_file_range", "sendfile"),
    }
    times = interleaved(ways, before=removed(target))
    shown_times(
        f"{path.stat().st_size / 1e6:.0f} MB, 1000 nodes: copying, without waiting for the disk", times, "cp", {}
    )
    path.unlink()
    target.unlink()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--big", action="store_true", help="BERT-large, too")
    parser.add_argument("--peers", action="store_true", help="those that load and save everything, too")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as name:
        folder = Path(name)
        external(folder, noted=False)
        external(folder, noted=True)
        copying(folder)
        for model in ("ResNet-50", "BERT-base", *(["BERT-large"] if chosen.big else [])):
            with quiet():
                subject = exported(model, folder)
            embedded(subject, folder, chosen.peers and subject.bytes < _FOR_PEERS)
            subject.path.unlink()


if __name__ == "__main__":
    main()
