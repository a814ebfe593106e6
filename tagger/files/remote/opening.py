"""From a URL to a reader: the file system that knows its protocol, or the package that is missing."""

from __future__ import annotations

from typing import Any

from onnx_tagger.errors import MissingExtraError, TaggerError, first_sentence, require
from onnx_tagger.files.remote.filesystems import FileSystemRanges
from onnx_tagger.files.remote.http import HttpRanges
from onnx_tagger.files.remote.readahead import RemoteReader
from onnx_tagger.model.urls import Url, shown_url


def open_remote(url: Url) -> RemoteReader:
    """Open a file elsewhere for reading; nothing has to be closed.

    Parameters
    ----------
    url : Url
        ``https://``, ``s3://``, ``hf://`` or any other that fsspec knows; chains such as ``simplecache::https://`` too.

    Returns
    -------
    RemoteReader

    Raises
    ------
    MissingExtraError
        If fsspec, or the package of the protocol, is not installed.
    TaggerError
        If nobody knows the protocol, or the file cannot be read.
    """
    require("fsspec", "remote", f"{url.shown}: reading a URL")
    fs, path = _file_system(url)
    if url.protocol in ("http", "https") and "::" not in url:
        ranges = HttpRanges(fs, url, path)
        return RemoteReader(ranges, ranges.begin)
    return RemoteReader(FileSystemRanges(fs, url, path))


def _file_system(url: Url) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(str(url))
    except ImportError as error:
        package = _package_of(url, error)
        raise MissingExtraError(
            f"{url.shown}: {url.protocol}:// needs {package}, which is not installed: "
            f"pip install 'onnx-tagger[remote]' {package}"
        ) from None
    except Exception as error:  # noqa: BLE001 - each file system raises what its own client does
        said = first_sentence(shown_url(str(error)))
        raise TaggerError(f"{url.shown} cannot be opened ({type(error).__name__}: {said}); check the URL") from None
    return fs, path


def _package_of(url: Url, error: ImportError) -> str:
    """The package that brings a protocol: the home of its file system, or what that could not import."""
    from fsspec.registry import known_implementations

    home = str(known_implementations.get(url.protocol, {}).get("class", "")).partition(".")[0]
    if home and home != "fsspec":
        return home
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ImportError) and cause.name and not cause.name.startswith("fsspec"):
            return cause.name.partition(".")[0]
        cause = cause.__cause__ or cause.__context__
    return "a package of its own"
