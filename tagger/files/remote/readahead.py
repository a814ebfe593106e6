"""A reader over ranges that asks seldom: it keeps pages, reads ahead, and foresees where a walk will go on.

A walk over an ONNX file reads its nodes one after another, and then a few bytes at the head of each weight. Files
repeat themselves as models do, layer by layer, so the distances between such heads do, too: what followed the last time
that the latest distances occurred is fetched at once, by delta correlation (K. Nesbit, J. Smith: Data Cache Prefetching
Using a Global History Buffer, HPCA 2004). What was foreseen wrongly costs a few pages and is never seen by anybody.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import islice

from onnx_tagger.files.remote.ranges import Range, Ranges
from onnx_tagger.files.wire import Reader

_PAGE = 1 << 13
_KEPT = 1 << 12  # pages: 32 MiB
_AT_JUMP = 1 << 15  # bytes that are read where a walk jumps to
_FIRST_AHEAD = 1 << 16
_MOST_AHEAD = 1 << 20
_LARGE = 1 << 20  # bytes that go to whoever asked, and are not kept
_STRIDE = 1 << 22  # bytes of one range where many are read
_AT_ONCE = 4  # such ranges
_NEAR = 1 << 16  # a walk that goes on so near did not jump
_BEFORE, _BEHIND = 1 << 10, 1 << 13  # bytes around a place that was foreseen
_FIRST_BATCH, _MOST_BATCH = 4, 64
_HISTORY = 512
_ALIKE = 256  # bytes by which two distances may differ: names in a file differ in length
_LEAST_SUFFIX, _MOST_SUFFIX = 2, 48


class Foresight:
    """The distances between the places where a walk stopped, and where it will stop next if they repeat."""

    def __init__(self) -> None:
        self.deltas: deque[int] = deque(maxlen=_HISTORY)
        self.last = 0

    def stopped(self, at: int) -> None:
        """Take in that the walk jumped to an offset."""
        self.deltas.append(at - self.last)
        self.last = at

    def next(self, count: int) -> Iterator[int]:
        """Yield so many offsets of next stops; none where the latest distances have not occurred before."""
        found = list(self.deltas)
        at = _follows(found)
        place = self.last
        for index in range(at, at + count) if at else ():
            found.append(found[index])
            place += found[index]
            yield place


def _follows(deltas: list[int]) -> int:
    """Where the distance stands that followed the longest earlier occurrence of the latest ones; 0 if there is none."""
    best, where = _LEAST_SUFFIX - 1, 0
    last = len(deltas) - 1
    for end in range(last - 1, _LEAST_SUFFIX - 2, -1):
        length = 0
        most = min(end + 1, _MOST_SUFFIX)
        while length < most and abs(deltas[end - length] - deltas[last - length]) <= _ALIKE:
            length += 1
        if length > best:
            best, where = length, end + 1
            if length == _MOST_SUFFIX:
                break
    return where


class RemoteReader(Reader):
    """A file elsewhere as a source.

    Parameters
    ----------
    ranges : Ranges
        Where its bytes come from.
    begin : bytes
        Its first bytes, if they are known already.
    """

    stride = _AT_ONCE * _STRIDE

    def __init__(self, ranges: Ranges, begin: bytes = b"") -> None:
        self.name, self.size, self.ranges = ranges.url.shown, ranges.size, ranges
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._foresight = Foresight()
        self._expected: deque[int] = deque()
        self._batch, self._ahead, self._end = _FIRST_BATCH, _FIRST_AHEAD, 0
        # The last page may be short only where the file ends.
        whole = len(begin) if len(begin) == self.size else len(begin) // _PAGE * _PAGE
        self._keep(0, begin[:whole])

    def read_at(self, offset: int, length: int) -> bytes:
        """Return bytes of the file, fetched before where that can be."""
        stop = min(offset + length, self.size)
        if stop <= offset:
            return b""
        if stop - offset > _LARGE:
            return b"".join(self.stream(offset, stop))
        jumped = not self._end - _NEAR <= offset <= self._end + _NEAR
        self._end = stop
        if jumped:
            self._foresight.stopped(offset)
        pages = range(offset // _PAGE, -(-stop // _PAGE))
        missing = [page for page in pages if page not in self._pages]
        if missing:
            self._fetch(missing[0], missing[-1] + 1, jumped)
        elif jumped:
            self._arrived(offset)
        for page in pages:
            self._pages.move_to_end(page)
        data = b"".join(self._pages[page] for page in pages)
        self._forget()
        return data[offset - pages[0] * _PAGE : stop - pages[0] * _PAGE]

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield a long stretch in pieces, several of which are fetched at once; nothing of it is kept."""
        pieces = ((at, min(at + _STRIDE, stop)) for at in range(start, stop, _STRIDE))
        while wanted := list(islice(pieces, _AT_ONCE)):
            yield from self.ranges.fetch(wanted)

    @property
    def version(self) -> tuple[str | None, str | None]:
        """What the server calls the file's version, and when it was changed; each None where it does not say that."""
        return self.ranges.version

    def confirm(self) -> None:
        """Raise if the file was changed while it was read."""
        self.ranges.confirm()

    def _arrived(self, offset: int) -> None:
        """A place was foreseen: the ones before it are past."""
        while self._expected and self._expected[0] <= offset + _BEHIND:
            self._expected.popleft()

    def _fetch(self, first: int, behind: int, jumped: bool) -> None:
        """Get missing pages, with what will probably be asked for next."""
        self._ahead = _AT_JUMP if jumped else min(max(2 * self._ahead, _FIRST_AHEAD), _MOST_AHEAD)
        stop = max(behind * _PAGE, first * _PAGE + self._ahead)
        wanted = [(first * _PAGE, min(stop, self.size))]
        if jumped and self.ranges.together:
            self._batch = _FIRST_BATCH if self._expected else min(2 * self._batch, _MOST_BATCH)
            self._expected = deque(at for at in self._foresight.next(self._batch) if at < self.size)
            wanted += [self._around(at) for at in self._expected]
        todo = list(self._unknown(wanted))
        for (start, _), data in zip(todo, self.ranges.fetch(todo), strict=True):
            self._keep(start, data)

    def _around(self, at: int) -> Range:
        start = max(0, at - _BEFORE) // _PAGE * _PAGE
        return start, min(-(-(at + _BEHIND) // _PAGE) * _PAGE, self.size)

    def _unknown(self, wanted: Iterable[Range]) -> Iterator[Range]:
        """Join ranges that touch, and leave out pages that are there; all begin and end at pages."""
        last = -1
        run: Range | None = None
        for start, stop in sorted(wanted):
            for page in range(max(start // _PAGE, last + 1), -(-stop // _PAGE)):
                last = page
                if page in self._pages:
                    continue
                at = page * _PAGE
                if run is not None and run[1] == at:
                    run = run[0], min(at + _PAGE, self.size)
                    continue
                if run is not None:
                    yield run
                run = at, min(at + _PAGE, self.size)
        if run is not None:
            yield run

    def _keep(self, start: int, data: bytes) -> None:
        for at in range(0, len(data), _PAGE):
            self._pages[(start + at) // _PAGE] = data[at : at + _PAGE]

    def _forget(self) -> None:
        while len(self._pages) > _KEPT:
            self._pages.popitem(last=False)
