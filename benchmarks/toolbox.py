"""The tools that a file is put through, as their documentation says to call them: what `survival.py` measures.

A tool is a function of the file to read, the file to write, and inputs to run it on (for calibration). One that cannot
take a model raises whatever it raises.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime as ort

Feeds = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Path, Path, Feeds], None]

OPTIMISERS, ROUNDERS, CHAINS, WIPED = "optimisers", "rounding", "chains", "names wiped"
CROSSED = "other exporter"


@dataclass(frozen=True)
class Tool:
    """A tool as it is called.

    Attributes
    ----------
    name : str
        What the table calls it.
    group : str
        The row of the bars that it is held to.
    run : callable
    keeps_values : bool
        Whether its tensors have the values of the exported file's, so that execution can judge.
    only : frozenset of str
        The models of the zoo that a user would call it for; empty for all.
    """

    name: str
    group: str
    run: Run
    keeps_values: bool = True
    only: frozenset[str] = frozenset()


# --- optimisers and converters ----------------------------------------------------------------------------------------


def onnxruntime_at(level: str, blocks: bool, source: Path, target: Path, _: Feeds) -> None:
    """Save the graph that onnxruntime runs; `blocks` allows the NCHWc layout, which ALL brings in."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    unwanted = [] if blocks else ["NchwcTransformer"]
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=unwanted)


def transformers_optimizer(model_type: str, level: int | None, source: Path, target: Path, _: Feeds) -> None:
    """Onnxruntime's optimiser for transformers; None is the level that it takes by itself for the type."""
    from onnxruntime.transformers.optimizer import optimize_model

    optimize_model(str(source), model_type=model_type, opt_level=level).save_model_to_file(str(target))


def slim(source: Path, target: Path, _: Feeds) -> None:
    import onnxslim

    onnxslim.slim(str(source), str(target))


def simplify(source: Path, target: Path, _: Feeds) -> None:
    import onnxsim

    simplified = onnxsim.simplify(onnx.load(source))[0]
    onnx.save(simplified, target)


def onnxscript_optimizer(source: Path, target: Path, _: Feeds) -> None:
    import onnxscript.optimizer

    onnx.save(onnxscript.optimizer.optimize(onnx.load(source)), target)


def ort_fusions(source: Path, target: Path, _: Feeds) -> None:
    import onnx_ir
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    model = optimize_for_ort(onnx_ir.load(source))[0]
    onnx_ir.save(model, target)


def graphsurgeon(source: Path, target: Path, _: Feeds) -> None:
    import onnx_graphsurgeon

    graph = onnx_graphsurgeon.import_onnx(onnx.load(source))
    onnx.save(onnx_graphsurgeon.export_onnx(graph.cleanup().toposort()), target)


def cpp_version_converter(opset: int, source: Path, target: Path, _: Feeds) -> None:
    import onnx.version_converter

    onnx.save(onnx.version_converter.convert_version(onnx.load(source), opset), target)


def onnxscript_version_converter(opset: int, source: Path, target: Path, _: Feeds) -> None:
    import onnx_ir
    from onnxscript import version_converter

    model = onnx_ir.load(source)
    version_converter.convert_version(model, opset)
    onnx_ir.save(model, target)


def onnx_ir_round_trip(source: Path, target: Path, _: Feeds) -> None:
    import onnx_ir

    onnx_ir.save(onnx_ir.load(source), target)


def inliner(source: Path, target: Path, _: Feeds) -> None:
    import onnx.inliner

    onnx.save(onnx.inliner.inline_local_functions(onnx.load(source)), target)


# --- tools that round -------------------------------------------------------------------------------------------------


def float16(blocked: Sequence[str], keep_io_types: bool, source: Path, target: Path, _: Feeds) -> None:
    from onnxruntime.transformers import float16 as converter

    blocks = [*converter.DEFAULT_OP_BLOCK_LIST, *blocked]
    whole = onnx.load(source)
    onnx.save(converter.convert_float_to_float16(whole, keep_io_types=keep_io_types, op_block_list=blocks), target)


def quantize_dynamic(source: Path, target: Path, _: Feeds) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)


def quantize_static(form: str, prepared: bool, source: Path, target: Path, feeds: Feeds) -> None:
    """Calibrated with the model's own inputs; `prepared` is the pre-processing that its documentation advises."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows = iter([dict(feeds)])

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        ready = source
        if prepared:
            ready = Path(folder) / "prepared.onnx"
            quant_pre_process(source, ready, auto_merge=True)
        quantization.quantize_static(ready, target, Reader(), quant_format=quantization.QuantFormat[form])


def four_bits(source: Path, target: Path, _: Feeds) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=4, block_size=16)
    quantizer.process()
    onnx.save(quantizer.model.model, target)


# --- what no tool is, but what tools do -------------------------------------------------------------------------------


def chain(steps: Sequence[Run], source: Path, target: Path, feeds: Feeds) -> None:
    """One tool after the other; nothing is re-tagged in between."""
    with tempfile.TemporaryDirectory() as folder:
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            made = target if last else Path(folder) / f"{number}.onnx"
            step(source, made, feeds)
            source = made


def wipe_names(source: Path, target: Path, _: Feeds) -> None:
    """Rename every node, weight and inner tensor at random, in bodies and functions, too; inputs and outputs stay."""
    model = onnx.load(source)
    stored = {tensor.name for tensor in model.graph.initializer}
    fixed = {value.name for value in model.graph.input if value.name not in stored}
    fixed |= {value.name for value in model.graph.output}
    _rename_graph(model.graph, _Names(fixed))
    for function in model.functions:
        names = _Names(set())
        function.input[:] = [names[name] for name in function.input]
        function.output[:] = [names[name] for name in function.output]
        _rename_nodes(function.node, names)
        del function.value_info[:]
    onnx.save(model, target)


class _Names(dict[str, str]):
    """Old names to new ones, which say nothing of the old and come in no order."""

    def __init__(self, fixed: set[str]) -> None:
        super().__init__({name: name for name in (*fixed, "")})
        self.chosen = random.Random(0)

    def __missing__(self, name: str) -> str:
        self[name] = self.fresh()
        return self[name]

    def fresh(self) -> str:
        return f"{self.chosen.getrandbits(64):016x}"


def _rename_graph(graph: onnx.GraphProto, names: _Names) -> None:
    sparse = (tensor.values for tensor in graph.sparse_initializer)
    for thing in itertools.chain(graph.input, graph.output, graph.initializer, sparse):
        thing.name = names[thing.name]
    del graph.value_info[:]
    del graph.quantization_annotation[:]
    _rename_nodes(graph.node, names)


def _rename_nodes(nodes: Sequence[onnx.NodeProto], names: _Names) -> None:
    for node in nodes:
        node.name = names.fresh()
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        for body in _bodies(node):
            _rename_graph(body, names)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def without_metadata(source: Path, target: Path) -> None:
    """Copy a file without metadata or doc strings, so that nothing but a map can say anything of it."""
    model = onnx.load(source)
    del model.metadata_props[:]
    for holder in (model.graph, *model.functions):
        _bare(holder)
    onnx.save(model, target)


def _bare(holder: onnx.GraphProto | onnx.FunctionProto) -> None:
    del holder.metadata_props[:]
    for value in holder.value_info:
        del value.metadata_props[:]
    for tensor in getattr(holder, "initializer", ()):
        del tensor.metadata_props[:]
    for node in holder.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        for body in _bodies(node):
            _bare(body)


# --- the table --------------------------------------------------------------------------------------------------------

BASIC, EXTENDED = (partial(onnxruntime_at, level, True) for level in ("BASIC", "EXTENDED"))
ALL = partial(onnxruntime_at, "ALL", True)
PLAIN_ALL = partial(onnxruntime_at, "ALL", False)
QDQ = partial(quantize_static, "QDQ", False)
HALF = partial(float16, (), False)
AS_BERT = partial(transformers_optimizer, "bert", 0)

# Operators that people keep in single precision for the sake of accuracy.
KEPT_SINGLE = ("LayerNormalization", "Softmax", "ReduceMean", "Pow", "Sqrt", "Conv")

# The type that a user would give for a model of the zoo; all others have "bert", which the optimiser's documentation
# calls the most general one.
OWN_TYPE = {
    "bert": "bert",
    "bart": "bart",
    "clip": "clip",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "phi": "phi",
    "qwen3": "qwen3",
    "swin": "swin",
    "t5": "t5",
    "unet": "unet",
    "vit": "vit",
    "whisper": "bart",
}


def _own_types() -> Iterator[Tool]:
    for model_type in dict.fromkeys(OWN_TYPE.values()):
        models = frozenset(name for name, other in OWN_TYPE.items() if other == model_type)
        run = partial(transformers_optimizer, model_type, None)
        yield Tool(f"transformers {model_type}", OPTIMISERS, run, only=models)


def _optimisers() -> Iterator[Tool]:
    yield Tool("ORT BASIC", OPTIMISERS, BASIC)
    yield Tool("ORT EXTENDED", OPTIMISERS, EXTENDED)
    yield Tool("ORT ALL", OPTIMISERS, ALL)
    yield Tool("ORT ALL without NCHWc", OPTIMISERS, PLAIN_ALL)
    for level in (0, 1, 2):
        yield Tool(f"transformers, level {level}", OPTIMISERS, partial(transformers_optimizer, "bert", level))
    yield from _own_types()
    yield Tool("onnxslim", OPTIMISERS, slim)
    yield Tool("onnxsim", OPTIMISERS, simplify)
    yield Tool("onnxscript optimizer", OPTIMISERS, onnxscript_optimizer)
    yield Tool("ort_fusions", OPTIMISERS, ort_fusions)
    yield Tool("graphsurgeon", OPTIMISERS, graphsurgeon)
    for opset in (18, 22):
        yield Tool(f"C++ converter to {opset}", OPTIMISERS, partial(cpp_version_converter, opset))
    yield Tool("onnxscript converter to 22", OPTIMISERS, partial(onnxscript_version_converter, 22))
    yield Tool("onnx-ir", OPTIMISERS, onnx_ir_round_trip)
    yield Tool("inliner", OPTIMISERS, inliner)


def _rounding() -> Iterator[Tool]:
    yield Tool("float16", ROUNDERS, HALF, False)
    yield Tool("float16, i/o kept", ROUNDERS, partial(float16, (), True), False)
    yield Tool("float16, block list", ROUNDERS, partial(float16, KEPT_SINGLE, True), False)
    yield Tool("quantize_dynamic", ROUNDERS, quantize_dynamic, False)
    yield Tool("QDQ", ROUNDERS, QDQ, False)
    yield Tool("QDQ, pre-processed", ROUNDERS, partial(quantize_static, "QDQ", True), False)
    yield Tool("QOperator", ROUNDERS, partial(quantize_static, "QOperator", False), False)
    yield Tool("4-bit MatMulNBits", ROUNDERS, four_bits, False)


def _chains() -> Iterator[Tool]:
    yield Tool("slim > ORT ALL", CHAINS, partial(chain, (slim, ALL)))
    yield Tool("slim > transformers > ORT ALL", CHAINS, partial(chain, (slim, AS_BERT, ALL)))
    yield Tool("converter > graphsurgeon > ORT EXTENDED", CHAINS, partial(chain, (_UP, graphsurgeon, EXTENDED)))
    yield Tool("QDQ > ORT ALL", CHAINS, partial(chain, (QDQ, ALL)), False)
    yield Tool("float16 > ORT ALL", CHAINS, partial(chain, (HALF, ALL)), False)
    yield Tool("slim > QDQ > ORT ALL", CHAINS, partial(chain, (slim, QDQ, ALL)), False)


_UP = partial(cpp_version_converter, 22)

TOOLS: tuple[Tool, ...] = (
    *_optimisers(),
    *_rounding(),
    *_chains(),
    Tool("names wiped", WIPED, wipe_names),
    Tool("names wiped > ORT ALL", WIPED, partial(chain, (wipe_names, ALL))),
)
