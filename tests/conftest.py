"""What several tests share."""

from pathlib import Path

import pytest

from mmtutor.data.fetch import cache_dir, located


@pytest.fixture(scope="session")
def stamps_cache() -> Path:
    """The cache folder, with the real stamps in it; the test fails where they are missing."""
    return _filled("stamps")


@pytest.fixture(scope="session")
def fashion_mnist_cache() -> Path:
    """The cache folder, with the real Fashion-MNIST in it; the test fails where it is missing."""
    return _filled("fashion-mnist")


@pytest.fixture(scope="module")
def own_datasets_cache(tmp_path_factory):
    """A folder of the test module's own, where `datasets` keeps what it has read."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield


def _filled(name: str) -> Path:
    try:
        located(name)
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    return cache_dir()
