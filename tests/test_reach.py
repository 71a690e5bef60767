"""What code reaches: every way of naming a module, on a small package."""

from importlib import metadata

import pytest

from book.tools.reached import reached
from mmtutor.reach import fingerprint, reach

FILES = {
    "__init__.py": "",
    "data/__init__.py": '''
"""Mentions mmtutor.data.heavy in words only."""
from importlib import import_module
from mmtutor.data.batch import collate as join
from mmtutor.data.unused import nothing

SOURCES = {
    "stamps": "mmtutor.data.stamps",
    "faces": "mmtutor.data.faces",
}


def load(name):
    return import_module(SOURCES[name]).load()


LOADERS = load, SOURCES
''',
    "data/batch.py": "import typing\nif typing.TYPE_CHECKING:\n    import mmtutor.data.heavy\n",
    "data/unused.py": "nothing = 0\n",
    "data/heavy.py": "import torch\n",
    "data/stamps.py": "def load():\n    from . import pictures\n    return pictures\n",
    "data/faces.py": "",
    "data/pictures.py": '"""Has no mmtutor.data.heavy."""\nNAME = "shown.json"\n',
    "data/shown.json": "{}",
    "data/other.json": "{}",
    "models/__init__.py": "from mmtutor.models.deep import *\nfrom .wide import Wide\n",
    "models/deep.py": "",
    "models/wide.py": "from ..data import join\n\n\nclass Wide:\n    pass\n",
    "recipes/__init__.py": "",
    "recipes/stored.py": 'FOLDER = "stored"\n\n\ndef load_stored(name):\n    return FOLDER, name\n',
    "recipes/stored/vqa-easy.json": "[]",
    "recipes/stored/vqa-hard.json": "[]",
    "recipes/run.py": 'import yaml, mmtutor.data.unused\nMODULE = "mmtutor.models.deep"\n',
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "mmtutor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names(root, *code):
    """Names of the reached files below the package, `__init__`s apart."""
    paths, _ = reached(code, root)
    return {p.removeprefix("mmtutor/") for p in paths if not p.endswith("__init__.py")}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("from mmtutor.data import join", {"data/batch.py"}),
        ("def later():\n    import mmtutor.data.unused", {"data/unused.py"}),
        ("from mmtutor.data import unused", {"data/unused.py"}),
        ("from mmtutor.data import load", set()),
        ("from mmtutor.data import load\nload('faces')", {"data/faces.py"}),
        (
            "from mmtutor.data import LOADERS\nname = 'stamps'\nLOADERS[0](name)",
            {"data/stamps.py", "data/pictures.py", "data/shown.json"},
        ),
        ("name = 'faces'", set()),
        ("from mmtutor.models import Wide", {"models/wide.py", "data/batch.py"}),
        ("import mmtutor.models", {"models/deep.py", "models/wide.py", "data/batch.py"}),
        (
            "from mmtutor.recipes.run import MODULE",
            {"recipes/run.py", "models/deep.py", "data/unused.py"},
        ),
        ("f'mmtutor.models.{x}'", set()),
        (
            "from mmtutor.recipes.stored import load_stored\nload_stored('vqa-easy')",
            {"recipes/stored.py", "recipes/stored/vqa-easy.json"},
        ),
        (
            "from mmtutor.recipes.stored import load_stored\nload_stored(f'vqa-{x}')",
            {"recipes/stored.py", "recipes/stored/vqa-easy.json", "recipes/stored/vqa-hard.json"},
        ),
        ("'vqa-easy'", set()),
        ("from mmtutor.data import (", set()),
    ],
)
def test_every_way_of_naming_a_module_and_no_more(root, code, files):
    assert names(root, code) == files


def test_of_an_init_only_the_used_statements_count(root):
    sources, _ = reach(["from mmtutor.data import load"], root)
    [text] = sources.values()
    assert "def load(name):" in text
    assert '"stamps": "mmtutor.data.stamps"' in text
    assert "LOADERS" not in text
    assert "collate" not in text


def test_libraries_that_are_imported_or_named_count_with_their_versions(root):
    _, versions = reached(["import numpy as np\nfind_spec('sklearn')", "import json"], root)
    assert versions == {name: metadata.version(name) for name in ("numpy", "scikit-learn")}
    _, run = reached(["from mmtutor.recipes.run import MODULE"], root)
    assert {name.lower() for name in run} == {"pyyaml"}


def test_a_fingerprint_follows_code_and_nothing_else(root):
    def edited(name, old, new):
        path = root / "mmtutor" / name
        path.write_text(path.read_text().replace(old, new))
        return fingerprint("mmtutor.models.wide", root)

    before = fingerprint("mmtutor.models.wide", root)
    assert len(before) == 64
    assert edited("data/unused.py", "0", "1") == before
    assert edited("models/wide.py", "class", "# A class.\n\n\nclass") == before
    assert edited("models/wide.py", "    pass", '    """Wide."""\n\n    pass') == before
    assert edited("data/batch.py", "\nif", "\nx = 1\nif") != before
    assert fingerprint("mmtutor.nowhere", root) is None
    assert fingerprint("__main__", root) is None


def test_one_source_alone_is_no_list_of_sources():
    with pytest.raises(TypeError, match="code must be a list of sources"):
        reach("import mmtutor")
