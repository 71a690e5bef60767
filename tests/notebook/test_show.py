"""`show` displays real source, with a link to the lines it stands on."""

import inspect

import pytest

from mmtutor.notebook import check, show
from mmtutor.notebook.show import REPOSITORY, _without_docstring
from mmtutor.training import History


def test_the_source_and_the_link_are_those_of_the_object():
    shown = show(check)
    lines, first = inspect.getsourcelines(check)
    assert shown.code == "".join(lines).rstrip()
    address = f"{REPOSITORY}/blob/main/mmtutor/notebook/checks.py"
    assert f"({address}#L{first}-L{first + len(lines) - 1})" in shown.link
    assert shown._repr_markdown_() == f"```python\n{shown.code}\n```\n{shown.link}"


def test_methods_are_shown_without_their_indentation_and_classes_whole():
    assert show(History.to_dict).code.startswith("def to_dict(self)")
    assert show(History).code.startswith("@dataclass\nclass History:")


def test_the_docstring_can_be_left_out_and_the_rest_stays():
    shown = show(check, docstring=False).code
    assert '"""' not in shown
    assert shown.startswith("def check(")
    assert 'print("Correct.")' in shown


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            'def f():\n    """One."""\n\n    # why\n    return 1',
            "def f():\n    # why\n    return 1",
        ),
        ('def f():\n    """Only this."""', "def f():\n    ..."),
        ("def f():\n    return 1", "def f():\n    return 1"),
    ],
)
def test_leaving_out_a_docstring(code, expected):
    assert _without_docstring(code) == expected


def test_what_has_no_source_is_named():
    with pytest.raises(TypeError, match="got <built-in function len>"):
        show(len)


def test_an_object_from_elsewhere_gets_no_link():
    assert "http" not in show(inspect.unwrap).link
