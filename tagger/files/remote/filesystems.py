"""Ranges of a file in any file system of fsspec's: side by side where it can that, else through an open file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.remote.ranges import Momentary, Range, Ranges, changed, patiently
from onnx_tagger.model.urls import Url, shown_url

# What file systems call the version of a file.
_VERSIONS = ("ETag", "etag", "e_tag", "md5Hash", "generation", "VersionId", "version_id", "blob_id", "oid", "mtime",
             "LastModified", "last_modified", "created")  # fmt: skip

_TIMES = frozenset({"mtime", "LastModified", "last_modified", "created"})


class FileSystemRanges(Ranges):
    """Ranges of a file in a file system.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
    url : Url
        What the file is called in errors.
    path : str
        The file in the file system.

    Raises
    ------
    TaggerError
        If there is no such file, or it may not be read.
    """

    def __init__(self, fs: Any, url: Url, path: str) -> None:
        self.url, self._fs, self._path = url, fs, path
        self.together = bool(getattr(fs, "async_impl", False))
        self.size, self._version = self._facts()
        self._file = None if self.together else self._said(self._opened)

    def _facts(self) -> tuple[int, dict[str, str]]:
        info = patiently(lambda: self._said(lambda: self._fs.info(self._path)), self.url)
        if info.get("type") == "directory":
            raise TaggerError(f"{self.url.shown} is a directory; give the URL of a file in it")
        if not isinstance(info.get("size"), int):
            raise TaggerError(f"{self.url.shown} cannot be read in parts: its size is not known; download it")
        return info["size"], {key: str(info[key]) for key in _VERSIONS if info.get(key) is not None}

    def _opened(self) -> Any:
        try:
            return self._fs.open(self._path, "rb", cache_type="none")  # what is read ahead is decided here
        except TypeError:
            return self._fs.open(self._path, "rb")

    def fetch(self, wanted: Sequence[Range]) -> list[bytes]:
        """The bytes of each range."""
        return patiently(lambda: self._said(lambda: self._ask(wanted)), self.url)

    def _ask(self, wanted: Sequence[Range]) -> list[bytes]:
        self.requests += len(wanted)
        if self.together:
            starts, stops = zip(*wanted, strict=True)
            found = list(self._fs.cat_ranges([self._path] * len(wanted), list(starts), list(stops), on_error="raise"))
        else:
            found = [self._read(start, stop) for start, stop in wanted]
        for (start, stop), data in zip(wanted, found, strict=True):
            if len(data) != stop - start:
                raise Momentary(f"{len(data)} bytes came where {stop - start} were asked for")
            self.received += len(data)
        return [bytes(data) for data in found]

    def _read(self, start: int, stop: int) -> bytes:
        assert self._file is not None
        self._file.seek(start)
        data: bytes = self._file.read(stop - start)
        return data

    def _said(self, ask: Any) -> Any:
        """What a file system answers; what it raises becomes an error of ours."""
        try:
            return ask()
        except FileNotFoundError:
            raise TaggerError(f"{self.url.shown}: there is no such file; check the URL") from None
        except PermissionError as error:
            raise TaggerError(
                f"{self.url.shown} may not be read ({first_sentence(shown_url(str(error)))}); check the credentials"
            ) from None
        except (TaggerError, Momentary):
            raise
        except (OSError, TimeoutError) as error:
            raise Momentary(f"it fails with {type(error).__name__}: {first_sentence(shown_url(str(error)))}") from None
        except Exception as error:  # noqa: BLE001 - each file system raises what its own client does
            raise TaggerError(
                f"{self.url.shown} cannot be read ({type(error).__name__}: "
                f"{first_sentence(shown_url(str(error)))}); check the URL and the credentials"
            ) from None

    @property
    def version(self) -> tuple[str | None, str | None]:
        """What the file's version is called and when it was changed."""
        names = [value for key, value in self._version.items() if key not in _TIMES]
        times = [value for key, value in self._version.items() if key in _TIMES]
        return names[0] if names else None, times[0] if times else None

    def confirm(self) -> None:
        """Raise if size or version are not what they were."""
        self._fs.invalidate_cache()
        size, version = self._facts()
        if size != self.size:
            raise changed(self.url, f"it had {self.size} bytes and has {size}")
        for key in self._version.keys() & version.keys():
            if self._version[key] != version[key]:
                raise changed(self.url, f"its {key} was {self._version[key]} and is {version[key]}")
