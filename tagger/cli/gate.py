"""What a check is asked to do, by its settings and its options: the files, and the terms for each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.texts import brief_fields

if TYPE_CHECKING:
    from onnx_tagger.model.gate.settings import Settings
    from onnx_tagger.workflows.gating import Terms


@dataclass(frozen=True)
class Asked:
    """A check as it was asked for.

    Parameters
    ----------
    settings : Settings
    options : mapping
        Key to value, as far as the command line says something.
    files : sequence of str
    many : bool
        Whether more than one may be meant: then one that cannot be read is a finding.
    form : str
    baseline : Path or None
    strict : bool
        Whether the baseline must not record more than there is.
    """

    settings: Settings
    options: Mapping[str, object]
    files: Sequence[str]
    many: bool
    form: str
    baseline: Path | None
    strict: bool
    _known: dict[tuple[str, ...], Terms] = field(default_factory=dict, repr=False)

    __repr__ = brief_fields

    @classmethod
    def of(cls, settings: Settings, options: Mapping[str, object], models: Sequence[str] | None) -> Asked:
        """Put settings and options together.

        Raises
        ------
        TaggerError
            If no file is named, or a name means none.
        """
        from onnx_tagger.files.gathering import gather, names_many
        from onnx_tagger.model.gate.settings import names_in

        named = settings.in_force(options)["files"].value
        names = list(models or ()) or [settings.path_of(name) for name in names_in(named)]
        if not names:
            raise TaggerError("no file is named; give M.onnx, a folder or a glob, or set files in the settings")
        files = gather(names, sys.stdin if "-" in names else ())
        return cls._by(settings, options, files, not models or names_many(names))

    @classmethod
    def without_files(cls, settings: Settings) -> Asked:
        """The same for a caller that knows the files."""
        return cls._by(settings, {}, (), True)

    @classmethod
    def _by(cls, settings: Settings, options: Mapping[str, object], files: Sequence[str], many: bool) -> Asked:
        found = {name: setting.value for name, setting in settings.in_force(options).items()}
        baseline = options.get("baseline") or (settings.path_of(str(found["baseline"])) if found["baseline"] else None)
        return cls(
            settings,
            options,
            files,
            many,
            str(found["format"]),
            Path(str(baseline)) if baseline else None,
            bool(found["strict-baseline"]),
        )

    def terms(self, file: str) -> Terms:
        """What a file is checked by; made once for all files that the same globs fit."""
        from onnx_tagger.model.gate.settings import fits
        from onnx_tagger.workflows import gating

        place = self.settings.place_of(file)
        key = tuple(glob for glob in self.settings.per_file if fits(glob, place))
        if key not in self._known:
            self._known[key] = gating.terms_of(self.settings, self.options, file)
        return self._known[key]
