"""URLs of files that lie elsewhere: what is one, what may be printed of it, and what lies beside it.

How the bytes behind a URL are read is the matter of `onnx_tagger.files.remote`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.arguments import described, path_of

# One letter before the colon is a drive of Windows. fsspec chains file systems with `::`, `simplecache::https://...`.
_URL = re.compile(r"(?:[a-z][a-z0-9]+::)*[a-z][a-z0-9+.-]+://", re.IGNORECASE)

# What is left of a URL that went through a `Path`.
_BROKEN_URL = re.compile(
    r"(?:[a-z][a-z0-9]+::)*(?:https?|s3|s3a|gs|gcs|hf|abfss?|az|memory|ftp|sftp):/+[^/]", re.IGNORECASE
)

_USER = re.compile(r"(://)[^/?#@\s]*(?:@[^/?#@\s]*)*@")
_QUERY = re.compile(r"([?&;#])([^=&;#?\s]*)=([^&;#\s]*)")

# Parts of a query that are no secret; the value of any other may be one.
_HARMLESS = frozenset(
    {"download", "dl", "raw", "ref", "rev", "revision", "version", "versionid", "generation", "snapshot"}
)

HIDDEN = "***"
"""What is printed in place of a part of a URL that may be a secret."""


def is_url(value: object) -> bool:
    """Whether a text is a URL, and not the path of a local file.

    Examples
    --------
    >>> is_url("https://host/net.onnx"), is_url("simplecache::s3://bucket/net.onnx")
    (True, True)
    >>> is_url("models/net.onnx"), is_url("C:/net.onnx")
    (False, False)
    """
    return isinstance(value, str) and _URL.match(value) is not None


def was_url(path: object) -> bool:
    """Whether a path is what `pathlib` leaves of a URL, which has lost a slash."""
    return isinstance(path, (str, os.PathLike)) and _BROKEN_URL.match(os.fsdecode(path).replace("\\", "/")) is not None


def shown_url(text: str) -> str:
    """A URL, or a sentence with URLs in it, without what may be a secret.

    User names and passwords are hidden, and so are the values of a query and a fragment, save for a few that choose a
    version (``download``, ``ref``, ``revision``, ``version`` ...): signatures and tokens go by many names.

    Examples
    --------
    >>> shown_url("https://me:secret@host/net.onnx?revision=v2&X-Amz-Signature=0a1b")
    'https://***@host/net.onnx?revision=v2&X-Amz-Signature=***'
    """

    def value(found: re.Match[str]) -> str:
        mark, key, given = found.groups()
        return f"{mark}{key}={given if key.lower() in _HARMLESS and mark != '#' else HIDDEN}"

    return re.sub(r"[a-z][a-z0-9+.-]+://\S+", lambda url: _QUERY.sub(value, _USER.sub(rf"\1{HIDDEN}@", url[0])), text)


class Url(str):
    """The URL of a file, as it was given.

    It is a text, so that whoever opens it has the whole of it; what is printed is `shown`.
    """

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The URL as it may be printed."""
        return shown_url(self)

    def __repr__(self) -> str:
        return f"Url({self.shown[:200]!r})"

    @property
    def protocol(self) -> str:
        """What stands before ``://``, of a chain before the first."""
        return self._place.partition("://")[0].rpartition("::")[2].lower()

    @property
    def _place(self) -> str:
        """The part of a chain that holds the path of the file: the first that has a path at all."""
        return next((part for part in self.split("::") if "://" in part), str(self))

    @property
    def path(self) -> str:
        """The path of the file, without host and query."""
        return urlsplit(self._place).path if self._has_query else self._place.partition("://")[2]

    @property
    def _has_query(self) -> bool:
        return self.protocol in ("http", "https")

    @property
    def local(self) -> Path | None:
        """The local file that a ``file://`` URL names; None for any other URL."""
        if self.protocol not in ("file", "local") or "::" in self:
            return None
        return Path(unquote(re.sub(r"^localhost(?=/)", "", self.path)))

    def sibling(self, location: str) -> Url:
        """The URL of a file in the folder of this one, with the same query.

        Parameters
        ----------
        location : str
            A path relative to that folder, which does not leave it; see `onnx_tagger.files.external.contained`.

        Examples
        --------
        >>> Url("https://host/a/net.onnx?download=true").sibling("net.onnx_data")
        Url('https://host/a/net.onnx_data?download=true')
        """
        place = self._place
        bare, query = place, ""
        if self._has_query:
            bare = re.split(r"[?#]", place, maxsplit=1)[0]
            query, location = place[len(bare) :].partition("#")[0], quote(location)
        folder = bare.rpartition("/")[0]
        return Url(str(self).replace(place, f"{folder}/{location}{query}", 1))


Place = Path | Url
"""Where a file lies: here or elsewhere."""


def place_of(value: object, what: str) -> Place:
    """The path or the URL that a caller gave; a ``file://`` URL is the path of a local file.

    Parameters
    ----------
    value : object
    what : str
        What it is, as the subject of the sentence.

    Raises
    ------
    TaggerError
        If it is neither, or empty.

    Examples
    --------
    >>> place_of("https://host/net.onnx", "the model")
    Url('https://host/net.onnx')
    """
    if isinstance(value, str) and is_url(value):
        url = Url(value)
        return url.local or url
    return path_of(value, what)


def local_path_of(value: object, what: str) -> Path:
    """The path of a local file that a caller gave, for what is written or run.

    Raises
    ------
    TaggerError
        If it is a URL, or no path.
    """
    if isinstance(value, (str, os.PathLike)) and (is_url(value) or was_url(value)):
        place = place_of(value, what) if is_url(value) else None
        if not isinstance(place, Path):
            raise TaggerError(f"{what} is {shown_url(os.fsdecode(value))!r}; give the path of a local file")
        return place
    return path_of(value, what)


def shown_place(value: object) -> str:
    """A path or a URL as it may be printed."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fsdecode(value)
        return shown_url(text) if is_url(text) else text
    return described(value)
