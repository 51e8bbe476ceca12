"""The page's files, read once when the server starts and served from memory.

The files themselves are in ``vidlink/page``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import PurePosixPath

from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from zope.interface import implementer

from vidlink.errors import RequestError
from vidlink.server.api.answers import CHECK_FIRST, answer_bytes, answer_error
from vidlink.server.api.refusals import MethodNotAllowed, NoSuchPath

INDEX = "index.html"
#: The types of the files that are served; files with other endings are not.
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@implementer(IResource)
class Assets(Resource):
    """The page at ``/`` and its files beside it; there are no others to be found by any path.

    :param files: contents by name, ``index.html`` among them.
    """

    isLeaf = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._files = {
            f"/{name}".encode(): (data, TYPES[PurePosixPath(name).suffix])
            for name, data in files.items()
        }
        self._files[b"/"] = self._files[f"/{INDEX}".encode()]

    @classmethod
    def load(cls, package: str = "vidlink.page") -> Assets:
        """The files of `package` as they are now."""
        return cls(
            {
                entry.name: entry.read_bytes()
                for entry in resources.files(package).iterdir()
                if entry.is_file() and PurePosixPath(entry.name).suffix in TYPES
            }
        )

    def render(self, request: Request) -> bytes:
        """Answer with the file of exactly this path; a query changes nothing."""
        try:
            data, content_type = self._file(request)
            return answer_bytes(request, data, content_type, CHECK_FIRST)
        except RequestError as error:
            return answer_error(request, error)

    def _file(self, request: Request) -> tuple[bytes, str]:
        found = self._files.get(request.path)
        if found is None:
            raise NoSuchPath("there is nothing at this path")
        if request.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed(request.method.decode("ascii")[:20], ("GET", "HEAD"))
        return found
