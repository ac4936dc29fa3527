"""The object cache: content, corruption, eviction, directories that do not work, two writers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from graphc.compiler.cache import CacheEntry, DiskCache, content_key, decode, encode
from graphc_llvm.runtime.support import support_text

ROOT = Path(__file__).parents[2]
ENTRY = CacheEntry(b"\x7fELF object code", {"slots": 7, "names": ["x", "é"], "none": None})


def test_round_trip(tmp_path: Path) -> None:
    store = DiskCache(tmp_path / "deep" / "er")
    key = content_key("a", b"b")
    assert store.get(key) is None
    assert store.put(key, ENTRY)
    assert store.get(key) == ENTRY
    assert store.get(content_key("a", b"c")) is None
    assert store.put(key, CacheEntry(b""))
    assert store.get(key) == CacheEntry(b"", {})


def test_keys() -> None:
    assert content_key("ab", "c") != content_key("a", "bc") != content_key("abc")
    assert content_key("ab") == content_key(b"ab")
    assert len(content_key()) == 64


def test_key_is_the_same_in_every_process() -> None:
    script = "from graphc.compiler.cache import content_key as k; print(k('a', b'b'))"
    path = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed}
        out = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True
        )
        assert out.stdout.strip() == content_key("a", b"b"), out.stderr


@pytest.mark.parametrize("length", range(len(encode(ENTRY))))
def test_truncated_bytes_are_refused(length: int) -> None:
    assert decode(encode(ENTRY)[:length]) is None


def test_every_changed_byte_is_noticed() -> None:
    data = encode(ENTRY)
    for i in range(len(data)):
        assert decode(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :]) is None


@pytest.mark.parametrize("garbage", [b"", b"x", b"graphc", bytes(500), os.urandom(1000)])
def test_corrupt_files_are_deleted(tmp_path: Path, garbage: bytes) -> None:
    store = DiskCache(tmp_path)
    store.put("k", ENTRY)
    (path,) = tmp_path.iterdir()
    path.write_bytes(garbage)
    assert store.get("k") is None
    assert not path.exists()
    assert store.put("k", ENTRY)
    assert store.get("k") == ENTRY


def test_least_recently_used_go_first(tmp_path: Path) -> None:
    size = len(encode(CacheEntry(bytes(1000))))
    store = DiskCache(tmp_path, limit=8 * size)
    for i in range(8):
        store.put(str(i), CacheEntry(bytes(1000)))
        os.utime(tmp_path / f"{i}.gxo", (i, i))
    assert store.get("0") is not None  # used now: no longer the oldest
    store.put("new", CacheEntry(bytes(1000)))
    left = {p.stem for p in tmp_path.iterdir()}
    assert left == {"0", "3", "4", "5", "6", "7", "new"}  # down to 7/8 of the limit


def test_entry_above_the_limit(tmp_path: Path) -> None:
    store = DiskCache(tmp_path, limit=100)
    assert not store.put("k", CacheEntry(bytes(200)))
    assert list(tmp_path.iterdir()) == []


def test_forgotten_temporaries_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "old.tmp").write_bytes(b"x")
    (tmp_path / "new.tmp").write_bytes(b"x")
    (tmp_path / "note.txt").write_bytes(b"not ours")
    os.utime(tmp_path / "old.tmp", (0, time.time() - 7200))
    DiskCache(tmp_path).put("k", ENTRY)
    assert {p.name for p in tmp_path.iterdir()} == {"new.tmp", "note.txt", "k.gxo"}


def test_switched_off() -> None:
    store = DiskCache(None)
    assert store.get("k") is None
    assert not store.put("k", ENTRY)


def test_a_file_stands_in_the_directory_s_place(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    for directory in (place, place / "below"):
        store = DiskCache(directory)
        assert store.get("k") is None
        assert not store.put("k", ENTRY)
    assert place.read_text() == "in the way"


@pytest.mark.parametrize("name", ["makedirs", "mkstemp", "replace", "utime", "scandir", "unlink"])
def test_operating_system_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = DiskCache(tmp_path, limit=2000)
    store.put("before", ENTRY)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    owner = tempfile if name == "mkstemp" else os
    monkeypatch.setattr(owner, name, refuse)
    if name == "makedirs":
        monkeypatch.setattr(Path, "mkdir", refuse)
    if name == "unlink":
        monkeypatch.setattr(Path, "unlink", refuse)
    assert store.put("k", CacheEntry(bytes(1500))) == (
        name not in ("makedirs", "mkstemp", "replace")
    )
    assert store.get("before") in (ENTRY, None)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.tmp"))
    assert store.put("k", ENTRY)


def test_full_disk_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdopen

    class Full:
        def __init__(self, handle: int, mode: str) -> None:
            self.file = real(handle, mode)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", Full)
    store = DiskCache(tmp_path)
    assert not store.put("k", ENTRY)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Both write and read the same keys; nobody ever sees a broken or a wrong entry."""
    script = f"""
import sys
from pathlib import Path
from graphc.compiler.cache import DiskCache, CacheEntry
store = DiskCache(Path({str(tmp_path)!r}), limit=40_000)
seen = 0
for i in range(300):
    key = str(i % 7)
    store.put(key, CacheEntry(key.encode() * 5000, {{"key": key}}))
    entry = store.get(str((i * 3) % 7))
    if entry is not None:
        assert entry.image == entry.metadata["key"].encode() * 5000
        seen += 1
print(seen)
"""
    path = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    env = {**os.environ, "PYTHONPATH": path}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert int(out) > 100
    assert not list(tmp_path.glob("*.tmp"))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 40_000


def test_runtime_s_own_code_is_kept(tmp_path: Path) -> None:
    script = """
import numpy as np
from graphc_llvm.runtime.support import support
assert support() is not None
"""
    path = os.pathsep.join((str(ROOT), str(ROOT / "backends")))
    place = tmp_path / "kept"
    env = {**os.environ, "PYTHONPATH": path, "GRAPHC_CACHE": str(place)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], env=env, check=True)
        (file,) = place.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    assert decode(file.read_bytes()) is not None
    subprocess.run([sys.executable, "-c", script], env={**env, "GRAPHC_CACHE": "off"}, check=True)
    assert support_text("x86_64-unknown-linux-gnu") == support_text("x86_64-unknown-linux-gnu")
