"""Files that are either whole or not there, and files that grow by whole lines (RELIABILITY E1, E2, E5)."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from netwatch.model.errors import SinkError
from netwatch.model.limits import HELD_BYTES

_PRIVATE = 0o600
_TAIL = 65_536  # bytes read at once while looking for the last end of a line


def write_all(fd: int, data: bytes) -> None:
    """Write until everything is written. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def reason(error: OSError) -> str:
    """Return what went wrong in the system's words."""
    return error.strerror or str(error)


class AtomicFile:
    """A file that appears under its name only when `publish` has succeeded, readable by its owner alone.

    The bytes go to a new file of another name in the same directory. The directory is held open, so that nobody can
    put another one in its place. A link or anything else that is no regular file is refused as a target, and one that
    appears later is replaced by the rename, never followed.
    """

    def __init__(self, path: Path) -> None:
        """Create the temporary file. Raises SinkError."""
        self.path = path
        self._fd = self._folder = -1
        self._temporary = f".netwatch-{os.urandom(8).hex()}.tmp"
        try:
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            refuse_strange(path, self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(self._temporary, flags, _PRIVATE, dir_fd=self._folder)
        except OSError as error:
            self.abort()
            raise SinkError(f"{path}: cannot be written: {reason(error)}") from error
        except SinkError:
            self.abort()
            raise

    def write(self, data: bytes) -> None:
        """Append bytes. Raises OSError; the caller knows how many records that were."""
        write_all(self._fd, data)

    def cut(self, size: int) -> None:
        """Have it end after so many bytes, and go on there. Raises OSError."""
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)

    def sync(self) -> None:
        """Bring the bytes to disk, still under the temporary name. Raises OSError."""
        os.fsync(self._fd)

    def publish(self) -> None:
        """Give the file its name, after `sync`. Raises OSError."""
        os.rename(self._temporary, self.path.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = ""
        os.fsync(self._folder)
        self.abort()

    def abort(self) -> None:
        """Close everything and remove what has no name yet."""
        if self._temporary and self._fd >= 0:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        for fd in (self._fd, self._folder):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        self._fd = self._folder = -1


class GrowingFile:
    """A file of lines that is continued; after any end of the process only its last line may be partial."""

    def __init__(self, path: Path, start: bytes) -> None:
        """Open or create it, and cut off a partial last line.

        start: how every line begins: a file that begins otherwise holds something else and is refused.
        Raises SinkError.
        """
        self.path = path
        self._fd = -1
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            self._fd = os.open(path, flags, _PRIVATE)
            self._size = self._whole(start)
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            self.close()
            raise SinkError(f"{path}: cannot be continued: {reason(error)}") from error
        except SinkError:
            self.close()
            raise

    def _whole(self, start: bytes) -> int:
        """Return the size of the whole lines."""
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise SinkError(f"{self.path}: cannot be continued: no regular file")
        if found.st_uid != os.geteuid():
            raise SinkError(f"{self.path}: cannot be continued: it belongs to another user")
        if not start.startswith(os.pread(self._fd, len(start), 0)):
            raise SinkError(f"{self.path}: cannot be continued: it holds something else; choose another name")
        end = found.st_size
        while end:
            block = os.pread(self._fd, min(_TAIL, end), max(0, end - _TAIL))
            at = block.rfind(b"\n")
            if at >= 0:
                return max(0, end - _TAIL) + at + 1
            end = max(0, end - _TAIL)
        return 0

    def write(self, data: bytes) -> tuple[int, OSError | None]:
        """Append whole lines in one write; return how many of them are on disk, and what stopped the others.

        What was written of a line is cut off again.
        """
        stopped: OSError | None = None
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:] if done else data)
        except OSError as error:
            stopped = error
            done = data.rfind(b"\n", 0, done) + 1
            with suppress(OSError):
                os.ftruncate(self._fd, self._size + done)
        self._size += done
        return data.count(b"\n", 0, done), stopped

    def sync(self) -> None:
        """Bring the lines to disk. Raises OSError."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close it; its lines stay."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class HeldFile(GrowingFile):
    """A growing file whose lines wait in memory while the disk takes none (RELIABILITY E3).

    given_up: lines that are lost since HELD_BYTES waited.   stopped: why the disk takes none, None: it does.
    """

    def __init__(self, path: Path, start: bytes) -> None:
        super().__init__(path, start)
        self._held = bytearray()
        self.given_up = 0
        self.stopped: OSError | None = None

    def write(self, data: bytes) -> tuple[int, OSError | None]:
        """Take whole lines; all of them count as written, since they are here."""
        if len(self._held) + len(data) > HELD_BYTES:
            self.flush()
        if len(self._held) + len(data) > HELD_BYTES:
            self.given_up += data.count(b"\n")
            return data.count(b"\n"), None
        self._held += data
        self.flush()
        return data.count(b"\n"), None

    def flush(self) -> None:
        """Write what waits, as far as the disk takes it."""
        if not self._held:
            return
        waiting = bytes(self._held)
        lines, self.stopped = super().write(waiting)
        if self.stopped is None:
            self._held.clear()
            return
        at = 0
        for _ in range(lines):
            at = waiting.index(b"\n", at) + 1
        del self._held[:at]

    def sync(self) -> None:
        """Bring the lines to disk. Raises OSError: also where lines still wait."""
        self.flush()
        if self.stopped is not None and self._held:
            self.given_up += self._held.count(b"\n")
            self._held.clear()
            raise self.stopped
        super().sync()


def refuse_strange(path: Path, folder: int) -> None:
    """Raise SinkError where `path` is there and is no regular file."""
    with suppress(FileNotFoundError):
        mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise SinkError(f"{path}: is a symbolic link, which is never followed; name the file itself")
        if not stat.S_ISREG(mode):
            raise SinkError(f"{path}: is there and is no regular file; choose another name")
