"""What several tests share."""

from pathlib import Path

import pytest

from mmtutor.data import cache_dir, stamps_archive


@pytest.fixture(scope="session")
def stamps_cache() -> Path:
    """The cache folder, with the real stamps in it; the test fails where they are missing."""
    try:
        stamps_archive.read()
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    return cache_dir()
