"""What a run leaves in its work folder, so that one that was killed goes on where it was and does nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.measures.optimising.optimised import Interval, Try

_STATE = "optimise.json"
_CHUNK = 1 << 20


class _State(msgspec.Struct):
    key: str
    tries: list[Try] = []
    finals: dict[str, Interval] = {}


class WorkFolder:
    """A folder with the models of tries and a record of each that is finished.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    key : str
        What the run depends on; see `key_of`.

    Raises
    ------
    TaggerError
        If the folder is of another run, or its record cannot be read.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / _STATE
        self.state = _State(key)
        if place.exists():
            try:
                self.state = msgspec.json.decode(place.read_bytes(), type=_State)
            except msgspec.DecodeError as error:
                raise TaggerError(
                    f"{place}: cannot be read ({error}); remove the folder or name another one"
                ) from error
        if self.state.key != key:
            raise TaggerError(
                f"{folder}: is of another model, other options or another version; name another --workdir"
            )
        self.done = {each.id: each for each in self.state.tries}

    def do(self, name: str, work: Callable[[Path], Try]) -> tuple[Try, bool]:
        """The record of a try, made now if there is none; and whether it was made now.

        `work` is given the path that the try's model may be written to; what a killed run left there goes first.
        """
        if name in self.done:
            return self.done[name], False
        place = self.folder / f"{len(self.state.tries):02d}.onnx"
        for left in self.folder.glob(f"{place.name}*"):
            left.unlink()
        made = work(place)
        self.state.tries.append(made)
        self.done[name] = made
        self._write()
        return made, True

    def finals(self, work: Callable[[], dict[str, Interval]]) -> dict[str, Interval]:
        """The last measurement, made now if there is none."""
        if not self.state.finals:
            self.state.finals = work()
            self._write()
        return self.state.finals

    def _write(self) -> None:
        replace_file(self.folder / _STATE, msgspec.json.format(msgspec.json.encode(self.state), indent=1))


def key_of(files: list[Path], options: dict[str, object]) -> str:
    """A digest of files and options: of what the result of a run depends on."""
    found = sha256(repr(sorted(options.items())).encode())
    for path in files:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()
