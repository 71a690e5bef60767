"""What several tests share."""

from pathlib import Path

import pytest

from mmtutor.data import cache_dir
from mmtutor.data.real import fashion_mnist, stamps_archive


@pytest.fixture(scope="session")
def stamps_cache() -> Path:
    """The cache folder, with the real stamps in it; the test fails where they are missing."""
    return _filled(stamps_archive.read)


@pytest.fixture(scope="session")
def fashion_mnist_cache() -> Path:
    """The cache folder, with the real Fashion-MNIST in it; the test fails where it is missing."""
    return _filled(lambda: fashion_mnist.load(n=1))


def _filled(read) -> Path:
    try:
        read()
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    return cache_dir()
