"""The headline claims: one a chapter, and each fails where training is switched off."""

import subprocess
import sys

import pytest

from book.tools.layout import Book
from book.tools.sync import notebook
from tests.book.tiny import tiny_book

TRAINED = """import torch
from torch import nn
from mmtutor.training import {how} as learn

torch.manual_seed(0)
model, x = nn.Linear(1, 1), torch.arange(4.0)[:, None]
data = [{{"x": x[i], "y": 2 * x[i]}} for i in range(4)] * 8

class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, batch):
        return self.layer(batch["x"])

model = Line()
loader = torch.utils.data.DataLoader(data, batch_size=4)
def objective(output, batch):
    return ((output - batch["y"]) ** 2).mean()
"""
FIT = "result = learn(model, objective, loader, epochs=30, lr=0.1, precision='fp32')"
LOOP = (
    "losses = learn(model, objective, loader, torch.optim.SGD(model.parameters(), 0.05), epochs=9)"
)
OTHER_CLAIM = """:tags: [claim]

assert model.layer.weight > 1"""
HOLDS = """:tags: [claim, headline]

assert abs(model.layer.weight - 2) < 0.2"""
EMPTY = """:tags: [claim, headline]

assert model.layer.weight.numel() == 1"""
BROKEN = """:tags: [claim, headline]

assert undefined > 1"""
CHAPTERS = Book().chapters()


def run(book):
    """Exit code and what was printed, in a process of its own: kernels leave sockets open."""
    command = [sys.executable, "-m", "book.tools.headlines", "--root", book.root, "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Book.root)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("how", "call"), [("fit", FIT), ("loop", LOOP.replace("learn(", "learn.train("))]
)
def test_a_claim_on_what_was_learned_fails_without_training(how, call, tmp_path):
    book = tiny_book(tmp_path, TRAINED.format(how=how), call, OTHER_CLAIM, HOLDS)
    code, printed = run(book)
    assert code == 0
    assert "labs/tiny: the headline fails without training" in printed
    assert run(book) == (0, "")  # not run again


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (EMPTY, "holds for models that learned nothing"),
        (BROKEN, "broke before its assert: NameErr"),
    ],
)
def test_a_claim_that_holds_all_the_same_or_breaks_is_told(claim, says, tmp_path):
    code, printed = run(tiny_book(tmp_path, TRAINED.format(how="fit"), FIT, claim))
    assert code == 1
    assert says in printed


@pytest.mark.parametrize("chapter", CHAPTERS, ids=Book().name)
def test_each_chapter_has_one_headline_and_it_is_a_claim(chapter):
    tags = [cell.metadata.get("tags", []) for cell in notebook(chapter).cells]
    assert [sorted({"claim"} & set(each)) for each in tags if "headline" in each] == [["claim"]]
