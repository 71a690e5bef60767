"""Files and folders in the cache appear whole or not at all, whatever happens meanwhile."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmtutor import files
from mmtutor.data.fetch.cache import cache_dir, exclusive
from mmtutor.files import PARTIAL, CacheError, atomic_file, atomic_folder, sweep


def test_the_environment_chooses_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "here"))
    assert cache_dir() == tmp_path / "here"
    assert not cache_dir().exists()
    monkeypatch.delenv("MMTUTOR_CACHE")
    assert cache_dir().name == "mmtutor"


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["file"]


def write_half(atomic) -> None:
    """Write something and fail."""
    with atomic as target:
        if isinstance(target, Path):
            (target / "file").write_bytes(b"half")
        else:
            target.write(b"half")
        raise RuntimeError("stop")


def test_an_error_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"):
        write_half(atomic_file(path))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_when_the_block_ends(tmp_path):
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "file").write_bytes(b"whole")
        assert not (tmp_path / "folder").exists()
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(RuntimeError, match="stop"):
        write_half(atomic_folder(tmp_path / "other"))
    assert os.listdir(tmp_path) == ["folder"]


def test_others_may_read_what_the_umask_lets_them_read(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with atomic_file(tmp_path / "file"):
        pass
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_harms_nothing(tmp_path, number):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(CacheError, match=f"cannot write to {tmp_path}"), atomic_file(path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(CacheError, match="what was there is unchanged"), atomic_folder(path):
        raise OSError(number, os.strerror(number))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_errors_of_the_block_stay_what_they_are(tmp_path):
    for atomic in (atomic_file, atomic_folder):
        with pytest.raises(PermissionError), atomic(tmp_path / "new"):
            raise PermissionError(errno.EACCES, "somewhere else")


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for write in (atomic_file, atomic_folder):
        with pytest.raises(CacheError, match="not writable"), write(tmp_path / "file" / "new"):
            pass
    with pytest.raises(CacheError, match="not writable"), exclusive(tmp_path / "file"):
        pass


HOLD_UNTIL_KILLED = """
import os, signal, sys
home, package = sys.argv[1:]
sys.path.insert(0, package)
from files import atomic_file, atomic_folder
from mmtutor.data.fetch.cache import exclusive
with exclusive(home), atomic_folder(home + "/new") as folder, atomic_file(home + "/file") as file:
    (folder / "half").write_bytes(b"half")
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_lets_go_and_is_swept(tmp_path):
    package = Path(files.__file__).parent  # alone, so that torch need not be imported
    code = subprocess.run([sys.executable, "-c", HOLD_UNTIL_KILLED, tmp_path, package]).returncode
    assert code == -signal.SIGKILL
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len([name for name in left if name.startswith(PARTIAL)]) == 2
    assert not {"new", "file"} & set(left)
    with exclusive(tmp_path):
        assert sweep(tmp_path) == 2
    assert os.listdir(tmp_path) == [".lock"]


def test_sweep_does_not_follow_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"kept")
    home = tmp_path / "home"
    home.mkdir()
    (home / f"{PARTIAL}link").symlink_to(outside)
    assert sweep(home) == 1
    assert (outside / "file").read_bytes() == b"kept"


TRY_LOCK = """
import fcntl, sys
with open(sys.argv[1] + "/.lock") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(3)
"""


def test_two_processes_never_hold_one_folder(tmp_path):
    def attempt(folder: Path) -> int:
        return subprocess.run([sys.executable, "-c", TRY_LOCK, folder]).returncode

    with exclusive(tmp_path):
        assert attempt(tmp_path) == 3
    assert attempt(tmp_path) == 0
