"""Where recordings are kept: a folder, or a bucket that speaks S3. Both through obstore.

A key is a path with `/`, such as `recordings/<call id>.wav`. In a folder it is the path below it;
in a bucket it comes after the prefix of CHORUS_STORAGE_URL. Whatever goes wrong in a store is a
`StoreFailed`, which says no secret; that something is not there is no failure.
"""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from chorus.settings import Settings

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

_MEDIA_TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".peaks": "application/json"}
_CACHE = "private, no-transform"
_PIECE_BYTES = 1 << 20
_DEBUG = re.compile(r"\s*(?:Debug source:.*|- HTTP error: error sending request.*)", re.DOTALL)


class StoreFailed(Exception):
    """The store could not be reached or refused. The message is a sentence for the log."""


def media_type(key: str) -> str:
    return _MEDIA_TYPES[key[key.rindex(".") :]]


class Store:
    """`folder` is the folder on this machine, None for a bucket."""

    def __init__(self, store: LocalStore | S3Store, where: str, folder: Path | None) -> None:
        self._store = store
        self.where = where
        self.folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """As the settings say; asks nobody yet."""
        url = settings.storage_url or ""
        if url.startswith("s3://"):
            return cls(_bucket(settings, url), url, None)
        folder = Path(unquote(urlsplit(url).path)) if url else settings.data_dir
        return cls.in_folder(folder)

    @classmethod
    def in_folder(cls, folder: Path) -> Store:
        from obstore.store import LocalStore

        folder = folder.absolute()
        # Conversations are private, and obstore makes files that all may read.
        (folder / "recordings").mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(folder), str(folder), folder)

    def path(self, key: str) -> Path | None:
        """The file behind `key`, whether it exists or not; None for a bucket."""
        return None if self.folder is None else self.folder / key

    async def check(self) -> None:
        """Whether something can be stored and erased: a small object is, and is gone again. Raises
        `StoreFailed`."""
        import obstore

        key = f"recordings/check-{uuid.uuid4().hex}"
        try:
            async with self._failing("storing something to see whether it works"):
                await obstore.put_async(self._store, key, b"chorus")
                await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            raise StoreFailed(f"{self.where} does not exist") from None

    async def has(self, key: str) -> bool:
        import obstore

        with suppress(FileNotFoundError):
            async with self._failing(f"looking for {key}"):
                await obstore.head_async(self._store, key)
                return True
        return False

    async def put(self, key: str, file: Path) -> None:
        """Whole or not at all; replaces what is there."""
        import obstore

        async with self._failing(f"storing {key}"):
            attributes = {
                "Content-Type": media_type(key),
                "Content-Disposition": "inline",
                "Cache-Control": _CACHE,
            }
            if self.folder is not None:
                attributes = {}  # a file has none
            await obstore.put_async(
                self._store,
                key,
                file,
                attributes=attributes,  # type: ignore[arg-type] # a str key is one of its literals
            )
            if self.folder is not None:
                await asyncio.to_thread(os.chmod, self.folder / key, 0o600)

    async def fetch(self, key: str, file: Path) -> None:
        """Copy it to `file`. Raises `FileNotFoundError` where there is none."""
        import obstore

        async with self._failing(f"fetching {key}"):
            got = await obstore.get_async(self._store, key)
            with file.open("wb") as target:
                async for piece in got.stream(min_chunk_size=_PIECE_BYTES):
                    await asyncio.to_thread(target.write, piece)

    async def erase(self, keys: Sequence[str]) -> None:
        """What is not there is erased already."""
        import obstore

        for key in keys:
            with suppress(FileNotFoundError):
                async with self._failing(f"erasing {key}"):
                    await obstore.delete_async(self._store, key)

    async def link(self, key: str, method: Literal["GET", "HEAD"], for_s: int) -> str:
        """A link that needs no key; only for a bucket."""
        import obstore

        assert self.folder is None, "a folder has no links"
        async with self._failing(f"signing a link to {key}"):
            wait = timedelta(seconds=for_s)
            return await obstore.sign_async(self._store, method, key, wait)  # type: ignore[arg-type] # a bucket can sign

    @asynccontextmanager
    async def _failing(self, doing: str) -> AsyncGenerator[None, None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as failure:
            # The library adds a dump of its error, which holds the whole request.
            reason = _DEBUG.sub("", str(failure)).strip()
            raise StoreFailed(f"{doing} in {self.where} failed: {reason}") from None


def _bucket(settings: Settings, url: str) -> S3Store:
    from obstore.store import S3Store

    parts = urlsplit(url)
    given = {
        "endpoint": settings.s3_endpoint_url,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": settings.s3_secret_access_key,
    }
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config={name: value for name, value in given.items() if value},  # type: ignore[arg-type] # a TypedDict
        client_options={
            "allow_http": (settings.s3_endpoint_url or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(minutes=5),
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    )
