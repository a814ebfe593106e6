"""Which PyTorch module does each node of an ONNX file come from: the public names of this package.

Names are imported on first use, so that `import onnx_tagger` stays quick and needs neither torch nor onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx_tagger.errors import (
        CoverageError as CoverageError,
        ExportError as ExportError,
        FileFormatError as FileFormatError,
        MapError as MapError,
        MissingExtraError as MissingExtraError,
        PassError as PassError,
        SourceError as SourceError,
        TaggerError as TaggerError,
    )
    from onnx_tagger.files.saving import save as save
    from onnx_tagger.files.sources import ByteSource as ByteSource
    from onnx_tagger.hierarchy.map import HierarchyMap as HierarchyMap
    from onnx_tagger.measures.comparison.comparison import Comparison as Comparison
    from onnx_tagger.measures.comparison.recorded import Recording as Recording
    from onnx_tagger.measures.measure import Column as Column, Measure as Measure
    from onnx_tagger.measures.optimising.optimised import Optimized as Optimized
    from onnx_tagger.measures.profiling.profile import Profile as Profile
    from onnx_tagger.measures.quantising import Quantized as Quantized, Sensitivity as Sensitivity
    from onnx_tagger.measures.table import ModuleTable as ModuleTable
    from onnx_tagger.model import keys as keys
    from onnx_tagger.model.graph import Op as Op
    from onnx_tagger.model.metadata import Source as Source, Tag as Tag, tag_of as tag_of, write_tag as write_tag
    from onnx_tagger.model.report import Limits as Limits, Report as Report
    from onnx_tagger.passes.align import Align as Align
    from onnx_tagger.passes.analyses.dataflow import DataFlow as DataFlow
    from onnx_tagger.passes.base import Analysis as Analysis, Context as Context, Pass as Pass, Touches as Touches
    from onnx_tagger.passes.coverage import Coverage as Coverage
    from onnx_tagger.passes.inherit import Inherit as Inherit
    from onnx_tagger.passes.inject import Inject as Inject
    from onnx_tagger.passes.manager import PassManager as PassManager
    from onnx_tagger.passes.match import Match as Match
    from onnx_tagger.passes.named import Named as Named
    from onnx_tagger.passes.surgery import GraphSurgeonPass as GraphSurgeonPass, OnnxscriptPass as OnnxscriptPass
    from onnx_tagger.workflows.carrying import Command as Command, carry as carry
    from onnx_tagger.workflows.checking import check as check, stats as stats
    from onnx_tagger.workflows.comparing import compare as compare, record as record
    from onnx_tagger.workflows.cutting.extracting import Extraction as Extraction, extract as extract
    from onnx_tagger.workflows.cutting.improving import Improvement as Improvement, each as each
    from onnx_tagger.workflows.cutting.splicing import Splice as Splice, splice as splice
    from onnx_tagger.workflows.exporting import Export as Export, capture as capture, export as export
    from onnx_tagger.workflows.functions import Functions as Functions, functions as functions
    from onnx_tagger.workflows.inferring import infer as infer
    from onnx_tagger.workflows.optimising.optimise import optimize as optimize
    from onnx_tagger.workflows.placing.placing import Placement as Placement, place as place
    from onnx_tagger.workflows.profiling.attributing import attribute as attribute
    from onnx_tagger.workflows.profiling.measuring import profile as profile
    from onnx_tagger.workflows.quantising.quantizing import quantize as quantize
    from onnx_tagger.workflows.quantising.sensing import sensitivity as sensitivity
    from onnx_tagger.workflows.reading import Node as Node, Tagged as Tagged, read as read
    from onnx_tagger.workflows.retagging import default_passes as default_passes, retag as retag, strip as strip
    from onnx_tagger.workflows.splitting.splitting import Split as Split, split as split

    __version__: str

_HOMES = {
    "onnx_tagger.workflows.carrying": ("Command", "carry"),
    "onnx_tagger.workflows.checking": ("check", "stats"),
    "onnx_tagger.errors": (
        "CoverageError",
        "ExportError",
        "FileFormatError",
        "MapError",
        "MissingExtraError",
        "PassError",
        "SourceError",
        "TaggerError",
    ),
    "onnx_tagger.files.saving": ("save",),
    "onnx_tagger.workflows.inferring": ("infer",),
    "onnx_tagger.files.sources": ("ByteSource",),
    "onnx_tagger.model.graph": ("Op",),
    "onnx_tagger.hierarchy.map": ("HierarchyMap",),
    "onnx_tagger.measures.comparison.comparison": ("Comparison",),
    "onnx_tagger.measures.comparison.recorded": ("Recording",),
    "onnx_tagger.measures.measure": ("Column", "Measure"),
    "onnx_tagger.measures.optimising.optimised": ("Optimized",),
    "onnx_tagger.measures.profiling.profile": ("Profile",),
    "onnx_tagger.measures.quantising": ("Quantized", "Sensitivity"),
    "onnx_tagger.measures.table": ("ModuleTable",),
    "onnx_tagger.model.metadata": ("Source", "Tag", "tag_of", "write_tag"),
    "onnx_tagger.passes.align": ("Align",),
    "onnx_tagger.passes.base": ("Analysis", "Context", "Pass", "Touches"),
    "onnx_tagger.passes.coverage": ("Coverage",),
    "onnx_tagger.passes.analyses.dataflow": ("DataFlow",),
    "onnx_tagger.passes.inherit": ("Inherit",),
    "onnx_tagger.passes.inject": ("Inject",),
    "onnx_tagger.passes.manager": ("PassManager",),
    "onnx_tagger.passes.match": ("Match",),
    "onnx_tagger.passes.named": ("Named",),
    "onnx_tagger.passes.surgery": ("GraphSurgeonPass", "OnnxscriptPass"),
    "onnx_tagger.workflows.comparing": ("compare", "record"),
    "onnx_tagger.workflows.cutting.extracting": ("Extraction", "extract"),
    "onnx_tagger.workflows.cutting.improving": ("Improvement", "each"),
    "onnx_tagger.workflows.cutting.splicing": ("Splice", "splice"),
    "onnx_tagger.workflows.exporting": ("Export", "capture", "export"),
    "onnx_tagger.workflows.functions": ("Functions", "functions"),
    "onnx_tagger.workflows.placing.placing": ("Placement", "place"),
    "onnx_tagger.workflows.optimising.optimise": ("optimize",),
    "onnx_tagger.workflows.profiling.attributing": ("attribute",),
    "onnx_tagger.workflows.profiling.measuring": ("profile",),
    "onnx_tagger.workflows.quantising.quantizing": ("quantize",),
    "onnx_tagger.workflows.quantising.sensing": ("sensitivity",),
    "onnx_tagger.workflows.reading": ("Node", "Tagged", "read"),
    "onnx_tagger.workflows.retagging": ("default_passes", "retag", "strip"),
    "onnx_tagger.workflows.splitting.splitting": ("Split", "split"),
    "onnx_tagger.model.report": ("Limits", "Report"),
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# Public names that are modules themselves.
_MODULES = {"keys": "onnx_tagger.model.keys"}

__all__ = sorted({*_HOME_OF, *_MODULES})


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name == "__version__":
        from onnx_tagger.version import version

        return version()
    from importlib import import_module

    home = _HOME_OF.get(name)
    if name in _MODULES:
        value: object = import_module(_MODULES[name])
    elif home is not None:
        value = getattr(import_module(home), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__, "__version__"})
