"""The rows of a run as they come, in a file that a run which was broken off leaves behind for the next one.

One JSON row a line, the last one of a URL counts. Of the rows that are there, hashes and places are held in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Row

_decode = msgspec.json.Decoder(Row).decode


class Journal:
    """Rows by URL, in a file.

    Parameters
    ----------
    path : Path
        Created if it is not there; a row at its end that was not written out is cut off.

    Raises
    ------
    TaggerError
        If it cannot be written, or another run is writing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()  # who takes tasks asks for rows while others are added
        try:
            self._file = path.open("a+b", buffering=0)
            self._reader = path.open("rb")
        except OSError as error:
            raise TaggerError(f"{path}: cannot be written ({error.strerror}); name another output") from error
        try:
            _lock(self._file.fileno(), path)
            self._places: dict[bytes, int] = {}
            self._end = self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, url: str) -> bool:
        return _key(url) in self._places

    def add(self, line: bytes, url: str) -> None:
        """Append a row as JSON; it is in the file when this returns, whatever happens to the process then."""
        with self._turn:
            self._file.write(line + b"\n")
            self._places[_key(url)] = self._end
            self._end += len(line) + 1

    def row(self, url: str) -> Row | None:
        """The last row of a URL."""
        place = self._places.get(_key(url))
        if place is None:
            return None
        with self._turn:
            self._reader.seek(place)
            return _decode(self._reader.readline())

    def rows(self, urls: Iterable[str]) -> Iterator[Row]:
        """The rows of some URLs that have one, in their order."""
        for url in urls:
            row = self.row(url)
            if row is not None:
                yield row

    def close(self) -> None:
        """Let go of the file, which stays."""
        self._file.close()
        self._reader.close()

    def remove(self) -> None:
        """Take the file away: its rows are elsewhere now."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> int:
        """Note where rows are, and cut off what is no row."""
        end = 0
        for line in self._reader:
            if not line.endswith(b"\n"):
                break
            try:
                row = _decode(line)
            except msgspec.DecodeError as error:
                raise TaggerError(
                    f"{self.path}: is no journal of a fleet at byte {end} ({error}); name another output"
                ) from error
            self._places[_key(row.url)] = end
            end += len(line)
        self._file.truncate(end)
        return end


def _key(url: str) -> bytes:
    """What a URL is known by in memory: 16 bytes, however long it is."""
    return blake2b(url.encode(errors="surrogatepass"), digest_size=16).digest()


def _lock(descriptor: int, path: Path) -> None:
    """Keep other runs away, where the system can; the lock goes with the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise TaggerError(f"{path}: another run is writing it; wait for it, or name another output") from error
