"""Ranges over HTTP, through the session of fsspec's file system: several of them by one request where a server can.

Every answer is held against the first: the same size, the same ETag (or Last-Modified), and exactly the bytes that were
asked for. A server that sends the whole file in place of a range is never read to the end.

Reference: RFC 9110, section 14 (ranges) and 8.8 (validators).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.remote.ranges import ATTEMPTS, Momentary, Range, Ranges, changed, wait_before
from onnx_tagger.model.urls import Url, shown_url

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_BEGIN = 1 << 16  # bytes that the first request asks for
_WHOLE = 1 << 23  # a file of so many bytes is taken whole from a server that knows no ranges
_TOGETHER = 1 << 22  # bytes that one request for several ranges may ask for
_AT_ONCE = 8  # requests
_CONNECT, _SILENCE = 15.0, 30.0  # seconds
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class HttpRanges(Ranges):
    """Ranges of a file on a web server.

    Parameters
    ----------
    fs : fsspec.implementations.http.HTTPFileSystem
        Its session, options and loop are used.
    url : Url
        What the file is called in errors.
    path : str
        What is asked for.

    Raises
    ------
    TaggerError
        If the file cannot be had by ranges.
    """

    together = True

    def __init__(self, fs: Any, url: Url, path: str) -> None:
        self.url, self._fs, self._path = url, fs, path
        self._severally = False  # whether the server does not answer several ranges together
        self._version: tuple[str, str] | None = None
        self._whole: bytes | None = None
        self.size = 0
        self.begin = self._sync(self._start)

    @property
    def version(self) -> tuple[str | None, str | None]:
        """ETag and Last-Modified of the first answer."""
        etag, modified = self._version or ("", "")
        return etag or None, modified or None

    def fetch(self, wanted: Sequence[Range]) -> list[bytes]:
        """The bytes of each range: of short ones in one answer if the server gives it, else side by side."""
        if self._whole is not None:
            return [self._whole[start:stop] for start, stop in wanted]
        found: list[bytes] = self._sync(self._fetch, list(wanted))
        return found

    def _sync(self, function: Any, *args: Any) -> Any:
        from fsspec.asyn import sync

        return sync(self._fs.loop, function, *args)

    async def _start(self) -> bytes:
        """The first bytes, which tell the size and the version."""
        data = await self._patiently(0, _BEGIN)
        self.size = len(data) if self._whole is not None else self.size
        return data

    async def _fetch(self, wanted: list[Range]) -> list[bytes]:
        total = sum(stop - start for start, stop in wanted)
        if len(wanted) > 1 and not self._severally and total <= _TOGETHER:
            found = await self._joined(wanted)
            if found is not None:
                return found
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(start: int, stop: int) -> bytes:
            async with gate:
                return await self._patiently(start, stop)

        tasks = [asyncio.ensure_future(one(*each)) for each in wanted]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _patiently(self, start: int, stop: int) -> bytes:
        for attempt in range(ATTEMPTS):
            try:
                async with self._asked(f"bytes={start}-{stop - 1}") as answer:
                    return await self._range(answer, start, stop)
            except Momentary as failure:
                await asyncio.sleep(wait_before(attempt, failure, self.url))
        raise AssertionError("the last attempt raises")

    @asynccontextmanager
    async def _asked(self, ranges: str) -> AsyncIterator[ClientResponse]:
        """Send a request; what goes wrong on the way is `Momentary`, or an error of ours without any secret."""
        import aiohttp

        options = dict(self._fs.kwargs)
        headers = {**options.pop("headers", {}), "Range": ranges, "Accept-Encoding": "identity"}
        options.setdefault("timeout", aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE))
        session = await self._fs.set_session()
        self.requests += 1
        try:
            async with session.get(self._fs.encode_url(self._path), headers=headers, **options) as answer:
                yield answer
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError, aiohttp.TooManyRedirects) as error:
            raise self._refused(f"{type(error).__name__}: {first_sentence(str(error))}") from None
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise Momentary(self._said(error)) from None

    def _said(self, error: BaseException) -> str:
        text = first_sentence(shown_url(str(error)))
        # A message may quote parts of the URL, such as the host with a user before it.
        secrets = re.findall(r"://([^/?#@\s]+)@", self._path) + re.findall(r"[?&;][^=&]*=([^&;#]{4,})", self._path)
        for secret in secrets:
            text = text.replace(secret, "***")
        return f"the connection failed ({type(error).__name__}{f': {text}' if text else ''})"

    def _refused(self, what: str) -> TaggerError:
        return TaggerError(f"{self.url.shown} cannot be read: {shown_url(what)}; check the URL")

    async def _range(self, answer: ClientResponse, start: int, stop: int) -> bytes:
        """The bytes of an answer to a request for one range."""
        self._insist_on_status(answer)
        if answer.status == 200:
            return await self._all_of(answer, start)
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if found is None:
            raise Momentary("the server does not say which bytes it sends")
        first, last, size = map(int, found.groups())
        self._insist_on_version(answer, size)
        if first != start or last + 1 != min(stop, size):
            raise Momentary(f"the server sends bytes {first} to {last} where {start} to {stop - 1} were asked for")
        return await self._body(answer, last + 1 - first)

    async def _body(self, answer: ClientResponse, length: int) -> bytes:
        data = await _up_to(answer, length + 1)
        if len(data) != length:
            more = "more than " if len(data) > length else ""
            raise Momentary(f"the server sends {more}{min(len(data), length)} bytes where {length} were asked for")
        self.received += length
        return data

    async def _all_of(self, answer: ClientResponse, start: int) -> bytes:
        """A file from a server that knows no ranges, if it is short and was asked for from its beginning."""
        length = answer.content_length
        if self._version is not None or start:
            raise self._no_ranges(length)
        if length is None or length > _WHOLE:
            raise self._no_ranges(length)
        self._whole = await self._body(answer, length)
        return self._whole

    def _no_ranges(self, length: int | None) -> TaggerError:
        much = f"all {length} bytes" if length is not None else "all of it"
        return TaggerError(
            f"{self.url.shown} cannot be read in parts: the server ignores ranges and would send {much}; "
            f"download it, or have it downloaded as simplecache::{self.url.shown}"
        )

    def _insist_on_status(self, answer: ClientResponse) -> None:
        status = answer.status
        if status in (200, 206):
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise self._refused("the server sends it compressed")
            return
        if status in _AGAIN:
            raise Momentary(f"the server answers {status} {answer.reason or ''}".rstrip(), _pause(answer))
        if status == 416:
            if self._version is None:
                raise TaggerError(f"{self.url.shown} is empty; give an ONNX model")
            raise changed(self.url, "it became shorter")
        if status in (401, 403):
            raise TaggerError(
                f"{self.url.shown} may not be read (the server answers {status}): give a URL with what it asks for, "
                "or a new one if it has expired"
            )
        if status in (404, 410):
            raise TaggerError(f"{self.url.shown}: there is no such file (the server answers {status}); check the URL")
        raise self._refused(f"the server answers {status} {answer.reason or ''}".rstrip())

    def _insist_on_version(self, answer: ClientResponse, size: int) -> None:
        version = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        if self._version is None:
            self._version, self.size = version, size
        elif size != self.size:
            raise changed(self.url, f"it had {self.size} bytes and has {size}")
        elif version[0] != self._version[0]:
            raise changed(self.url, f"its ETag was {self._version[0]} and is {version[0] or 'missing'}")
        elif not version[0] and version[1] != self._version[1]:
            raise changed(self.url, f"it is of {version[1] or 'no date'}, and was of {self._version[1] or 'no date'}")

    async def _joined(self, wanted: list[Range]) -> list[bytes] | None:
        """Several ranges in one answer; None from a server that does not give it, which is asked no more."""
        text = ", ".join(f"{start}-{stop - 1}" for start, stop in wanted)
        try:
            async with self._asked(f"bytes={text}") as answer:
                if answer.status == 206 and answer.content_type == "multipart/byteranges":
                    parts = await self._parts(answer, sum(stop - start for start, stop in wanted))
                    return [parts[start, stop] for start, stop in wanted]
        except (Momentary, KeyError, ValueError):
            pass  # each range is asked for by itself, and that says what is wrong
        self._severally = True
        return None

    async def _parts(self, answer: ClientResponse, most: int) -> dict[Range, bytes]:
        """The parts of an answer, by their ranges; see RFC 9110, section 14.6."""
        from aiohttp import BodyPartReader, MultipartReader

        found: dict[Range, bytes] = {}
        reader = MultipartReader.from_response(answer)
        while (part := await reader.next()) is not None:
            place = _CONTENT_RANGE.fullmatch(part.headers.get("Content-Range", "").strip())
            if not isinstance(part, BodyPartReader) or place is None:
                raise Momentary("a part does not say which bytes it holds")
            first, last, size = map(int, place.groups())
            self._insist_on_version(answer, size)
            length = last + 1 - first
            if length > most:
                raise Momentary("a part is larger than what was asked for")
            data = bytes(await part.read())
            if len(data) != length:
                raise Momentary("a part has another length than it says")
            found[first, last + 1] = data
            self.received += length
        return found


async def _up_to(answer: ClientResponse, most: int) -> bytes:
    found = bytearray()
    while len(found) < most:
        piece = await answer.content.read(most - len(found))
        if not piece:
            break
        found += piece
    return bytes(found)


def _pause(answer: ClientResponse) -> float | None:
    """Seconds that a server asks for, as a number or as a date."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, TypeError):
        return None
