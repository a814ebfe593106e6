"""What a fuzzer does with bytes: reads them as a model, a map or a node's metadata, and insists on what is promised.

``python tests/fuzzing.py TARGET SECONDS`` runs atheris, guided by coverage, from the seeds in ``fixtures/fuzz/TARGET``;
``make fuzz`` runs all targets. What it finds goes into ``fixtures/fuzz/TARGET``, which ``test_fuzzing`` runs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

CORPUS = Path(__file__).resolve().parent.parent / "fixtures" / "fuzz"


def model(data: bytes) -> None:
    """A model is refused in a sentence, or it can be tagged, and gives itself back when it is stripped."""
    from onnx_tagger.errors import TaggerError
    from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes
    from onnx_tagger.files.proof import weights_of
    from onnx_tagger.files.wire import MemoryReader
    from onnx_tagger.model.metadata import Source, Tag, clear_model, clear_node, write_model, write_node
    from onnx_tagger.passes.analyses.dataflow import DataFlow
    from onnx_tagger.workflows.checking import read_tags

    try:
        skeleton = read_skeleton(data)
        ctx = read_tags(skeleton.model)
        ops = ctx.ops
    except TaggerError as error:
        _insist_on_sentence(error)
        return
    try:
        ctx.get(DataFlow)
    except TaggerError as error:
        _insist_on_sentence(error)
    try:
        assert splice_bytes(skeleton) == data
        for op in ops:
            clear_node(op.node, ())
        clear_model(skeleton.model)
        bare = splice_bytes(skeleton)
    except TaggerError as error:  # damage in a place that is only looked at where something is to be written
        _insist_on_sentence(error)
        return
    skeleton = read_skeleton(bare)
    for op in read_tags(skeleton.model).ops:
        write_node(op.node, Tag("a", "/Net/B.a", Source.EXPORTED), ())
    write_model(skeleton.model, "0", "", ())
    tagged = splice_bytes(skeleton)
    again = read_skeleton(tagged)
    ctx = read_tags(again.model)
    assert all(ctx.tags[op].module == "a" for op in ctx.ops)
    assert weights_of(MemoryReader(memoryview(tagged))) == weights_of(MemoryReader(memoryview(data)))
    for op in ctx.ops:
        clear_node(op.node, ())
    clear_model(again.model)
    assert splice_bytes(again) == bare


def map(data: bytes) -> None:  # noqa: A001 - the target's name
    """A map is refused in a sentence, or it reads back as it is written."""
    from onnx_tagger.errors import MapError
    from onnx_tagger.hierarchy.file import parse_map, to_json

    try:
        found = parse_map(data, "the map")
    except MapError as error:
        _insist_on_sentence(error)
        return
    for module in found.modules:
        assert found.encloses("", module.path)
    written = to_json(found)
    assert to_json(parse_map(written, "the map")) == written


def metadata(data: bytes) -> None:
    """Metadata, a line for each entry, key and value parted by a tab, is read without harm; own keys read back."""
    from onnx_tagger.errors import TaggerError
    from onnx_tagger.hierarchy.from_model import hierarchy_of_model
    from onnx_tagger.model.graph import walk
    from onnx_tagger.model.metadata import clear_node, parse_own, props_of, write_node
    from onnx_tagger.workflows.querying import code_line

    proto = onnx.ModelProto()
    node = proto.graph.node.add(op_type="Neg", name="n")
    for line in data.decode("utf-8", "replace").split("\n"):
        key, _, value = line.partition("\t")
        if key == "doc_string":
            node.doc_string += f"{value}\n"
        else:
            node.metadata_props.add(key=key, value=value)
    assert isinstance(code_line(walk(proto).ops[0]), str)
    try:
        hierarchy_of_model(proto)
    except TaggerError as error:
        _insist_on_sentence(error)
    tag, problem = parse_own(props_of(node))
    assert (tag is None) == bool(problem)
    if tag is not None:
        clear_node(node, ())
        write_node(node, tag, ())
        again, _ = parse_own(props_of(node))
        assert again == tag or len(set(tag.origins)) < len(tag.origins) or len(tag.call) > 1


def _insist_on_sentence(error: Exception) -> None:
    assert len(str(error).strip()) > 10


TARGETS: dict[str, Callable[[bytes], None]] = {"model": model, "map": map, "metadata": metadata}


def main(target: str, seconds: int) -> None:
    """Fuzz a target for so many seconds; a finding ends the run with an error and is left in the current folder."""
    import atheris

    with atheris.instrument_imports(include=["onnx_tagger"]):
        import onnx_tagger.files.onnxfile
        import onnx_tagger.files.proof
        import onnx_tagger.hierarchy.file
        import onnx_tagger.hierarchy.from_model
        import onnx_tagger.workflows.checking
        import onnx_tagger.workflows.querying  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-fuzz-") as grown:
        options = [
            f"-max_total_time={seconds}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-max_len=8192",
            "-print_final_stats=1",
            "-verbosity=0",
        ]
        arguments = [sys.argv[0], *options, f"-artifact_prefix=fuzz-{target}-", grown, str(CORPUS / target)]
        atheris.Setup(arguments, TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
