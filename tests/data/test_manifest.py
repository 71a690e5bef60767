"""The manifest that the scripts share."""

import pytest

from data_scripts import manifest
from mmtutor.files import sha256


def test_what_was_written_is_read_and_checked(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    hashes = {"a": sha256(tmp_path / "a")}
    manifest.write(tmp_path, {"sha256": hashes})
    assert manifest.read(tmp_path) == {"sha256": hashes}
    manifest.check(tmp_path, hashes)
    assert hashes["a"].startswith("ca978112ca1bbdcafac231b39a23dc4d")
    (tmp_path / "a").write_bytes(b"b")
    with pytest.raises(ValueError, match="a is missing or was changed"):
        manifest.check(tmp_path, hashes)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="was not made by this script"):
        manifest.read(tmp_path)
