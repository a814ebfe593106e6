"""A comparison of a file with its reference, by module and by tensor: a value that is saved, loaded and shown.

How it is made is a workflow's; how it looks is for reporters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Literal

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.measures.comparison.metrics import Metric
from onnx_tagger.measures.file import as_dict as table_dict, table_of
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.version import version

FORMAT = "onnx-tagger/comparison"
VERSION = 1

# Columns of the table by module.
LOCAL, ACCUMULATED, TOLERANCE, TENSORS = "local error", "accumulated error", "tolerance", "tensors"

Kind = Literal["float64", "float32", "float16", "bfloat16", "quantised"]
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class TensorError(msgspec.Struct, frozen=True):
    """One tensor of the file beside its value in the reference.

    Attributes
    ----------
    tensor : str
        Name in the file.
    module : str
        Path of the module whose work its last step is.
    call : str
        The same with ``@k`` where a module is called more than once.
    local : float or None
        Error if whatever it is computed of has the reference's values; None where it is infinite.
    accumulated : float or None
        Error of the run as it is; None where it is infinite.
    tolerance : float
        How far it may be off.
    kind : str
        What the nodes compute in that lead to it from the tensors that are known.
    fused : list of str
        Other modules whose work those nodes do.
    wild : bool
        Whether it has NaN or infinite numbers where the reference has none, all else being the reference's.
    differs : bool
        Whether the local error is larger than the tolerance.
    coarse : str
        If it differs: a tensor in front of it that is rounded to integers in steps too coarse for its numbers, since a
        few of them, such as those of a mask, take up the range of all; empty if there is none.
    """

    tensor: str
    module: str
    call: str
    local: float | None
    accumulated: float | None
    tolerance: float
    kind: Kind
    fused: list[str] = []
    wild: bool = False
    differs: bool = False
    coarse: str = ""

    @property
    def excess(self) -> float:
        """The local error as a multiple of the tolerance."""
        local = float("inf") if self.local is None else self.local
        return local / self.tolerance if self.tolerance else (0.0 if not local else float("inf"))


class Suspect(msgspec.Struct, frozen=True):
    """A node of a module that differs which computes what no operation of the reference does.

    Attributes
    ----------
    module : str
    node : str
        Its id, such as ``main#4 Add``.
    name : str
        Its name in the file.
    tensor : str
        What it makes.
    """

    module: str
    node: str
    name: str
    tensor: str


class _Record(msgspec.Struct):
    format: Literal["onnx-tagger/comparison"]
    version: Literal[1]
    created_by: str
    ok: bool
    reference: str
    file: str
    metric: Metric
    tolerance: float
    samples: int
    first_bad: str | None
    covered: float
    failures: list[str]
    notes: list[str]
    tensors: list[TensorError]
    hidden: dict[str, str]
    operations: list[Suspect]
    modules: msgspec.Raw


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """A file beside its reference.

    Parameters
    ----------
    reference, file : str
        What was compared.
    metric : "sqnr", "max", "cosine" or "ulp"
    tolerance : float
        How far a tensor may be off that is computed in float32.
    samples : int
        On how many inputs both were run; errors are the largest of all.
    tensors : tuple of TensorError
        In the order in which the file computes them.
    modules : ModuleTable
        The largest local and accumulated error of each module, the tolerance there, and how many tensors show it.
    hidden : mapping
        Path of each module that ran and that no tensor shows, to a sentence that says why.
    covered : float
        Share, 0 to 100, of the file's nodes with a tag from which a compared tensor is computed.
    failures : tuple of str
        Sentences: what differs.
    notes : tuple of str
        Sentences: what was not compared.
    operations : tuple of Suspect
        Where it was asked for: the first nodes in modules that differ.

    Examples
    --------
    >>> from onnx_tagger.measures.comparison.comparison import TensorError
    >>> error = TensorError("y", "fc", "fc", 0.05, 0.05, 1e-5, "float32", differs=True)
    >>> error.excess > 1000
    True
    """

    reference: str
    file: str
    metric: Metric
    tolerance: float
    samples: int
    tensors: tuple[TensorError, ...]
    modules: ModuleTable
    hidden: Mapping[str, str] = field(default_factory=dict)
    covered: float = 100.0
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    operations: tuple[Suspect, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.failures

    @property
    def first_bad(self) -> str | None:
        """Path of the first module, in the order of the run, whose own work differs; None if there is none."""
        return next((error.module for error in self.tensors if error.differs), None)

    @property
    def bad(self) -> dict[str, TensorError]:
        """Path of each module whose own work differs to its worst tensor, in the order of the run."""
        found: dict[str, TensorError] = {}
        for error in self.tensors:
            if error.differs and (error.module not in found or found[error.module].excess < error.excess):
                found[error.module] = error
        return found

    @property
    def visible(self) -> frozenset[str]:
        """Paths of the modules that tensors show."""
        return frozenset(error.module for error in self.tensors) | frozenset(self._borders())

    def _borders(self) -> Iterator[str]:
        """Modules all of whose work lies in modules that are shown."""
        for row in self.modules.rows:
            if row.module is not None and row.total.get(TENSORS) and row.module.path not in self.hidden:
                yield row.module.path

    def filter(self, pattern: str | Sequence[str] | None = None, depth: int | None = None) -> Comparison:
        """The same with some of the modules in its table and among those that are hidden; the verdict stays.

        Parameters
        ----------
        pattern : str or sequence of str, optional
            The modules that these name and all in them; see `onnx_tagger.hierarchy.globs`.
        depth : int, optional
            Only modules that at most so many others enclose.
        """
        if pattern is None and depth is None:
            return self
        table = self.modules.filter(pattern, depth=depth)
        kept = {module.path for module in table.modules}
        known = {module.path for module in self.modules.modules}
        hidden = {m: why for m, why in self.hidden.items() if m in kept or (m not in known and pattern is None)}
        return replace(self, modules=table, hidden=hidden)

    def __repr__(self) -> str:
        bad = f"first bad {self.first_bad!r}" if self.first_bad is not None else "no module differs"
        return brief(self, self.file, bad, counted(len(self.tensors), "tensor"))

    def _repr_html_(self) -> str:
        return self.modules._repr_html_()

    def as_dict(self) -> dict[str, object]:
        """The comparison as plain values, in the shape of its file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "created_by": f"onnx-tagger {version()}",
            "ok": self.ok,
            "reference": self.reference,
            "file": self.file,
            "metric": self.metric,
            "tolerance": self.tolerance,
            "samples": self.samples,
            "first_bad": self.first_bad,
            "covered": self.covered,
            "failures": list(self.failures),
            "notes": list(self.notes),
            "tensors": msgspec.to_builtins(self.tensors),
            "hidden": dict(self.hidden),
            "operations": msgspec.to_builtins(self.operations),
            "modules": table_dict(self.modules),
        }

    def to_json(self) -> str:
        """The comparison as JSON text, in the shape of its file."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def save(self, path: str | Path) -> None:
        """Write the comparison as JSON, whole or not at all."""
        replace_file(path, (self.to_json() + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> Comparison:
        """Read a comparison that was saved.

        Raises
        ------
        TaggerError
            If the file cannot be read as one.
        """
        most = input_limits().map_bytes
        try:
            with Path(path).open("rb") as stream:
                data = stream.read(most + 1)
        except OSError as error:
            raise TaggerError(f"{path}: cannot be read ({error.strerror}); give a comparison that was saved") from None
        if len(data) > most:
            raise TaggerError(f"{path}: holds more than {most} bytes, the limit for a table; {advice('map_bytes')}")
        try:
            record = msgspec.json.decode(data, type=_Record)
        except _UNREADABLE as error:
            place, fault = place_and_fault(error)
            raise TaggerError(
                f"{path}: {place or 'the file'}: {fault}; give a comparison that was saved with Comparison.save"
            ) from None
        return cls(
            record.reference,
            record.file,
            record.metric,
            record.tolerance,
            record.samples,
            tuple(record.tensors),
            ModuleTable(*table_of(bytes(record.modules), str(path))),
            record.hidden,
            record.covered,
            tuple(record.failures),
            tuple(record.notes),
            tuple(record.operations),
        )


def finite(error: float) -> float | None:
    """An error as JSON has it: None where it is infinite."""
    return error if isfinite(error) else None
