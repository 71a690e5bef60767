"""Does the text name what is not in the picture? POPE asks, CHAIR counts in captions.

Knows names of objects, answers of yes and no, and which words mean which object. Does not know how
answers and captions are made, nor the scores of answers (`evaluation.retrieval.pope`). Any number
of sets of weights, (R, N), give (R,) scores at once, for `bootstrap_statistic`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.tokenizer import words
from mmtutor.evaluation.classification.scores import (
    _ratio,
    as_weights,
    number,
)

Sampling = Literal["random", "popular", "adversarial"]
NO = {"no", "not"}


class PopeQuestion(NamedTuple):
    """Whether picture `image` (its row) shows `object`, and the truth about it."""

    image: int
    object: str
    present: bool

    @property
    def text(self) -> str:
        """The question in words."""
        article = "an" if self.object[:1].lower() in tuple("aeiou") else "a"
        return f"Is there {article} {self.object} in the picture?"


class Chair(NamedTuple):
    """Shares in [0, 1]; a silent model hallucinates nothing, and covers nothing.

    Attributes:
        instances: of the objects that captions mention, those not in the picture (CHAIR_i).
        sentences: of the captions, those that mention one (CHAIR_s).
        covered: of the objects in the pictures, those that the captions mention.
    """

    instances: float | Tensor
    sentences: float | Tensor
    covered: float | Tensor


def pope_questions(
    objects: Sequence[Sequence[str]], how: Sampling, each: int = 3, seed: int = 0
) -> list[PopeQuestion]:
    """Questions about objects that are there, and as many about objects that are not.

    Of each picture up to `each` of its objects are asked for, drawn at random, and as many of the
    others (fewer of both where it has fewer of either). Those are, by `how`: "random", any;
    "popular", those in most pictures; "adversarial", those that most often stand in a picture with
    the objects of this one. Equals are drawn in turn.

    Args:
        objects: of each picture, the names of what it shows; all names together are what can be
            asked for.

    Source: Li et al. (2023), Evaluating object hallucination in large vision-language models.
    """
    checks.one_of(get_args(Sampling), how=how)
    checks.at_least(1, each=each)
    checks.at_least(0, seed=seed)
    shown = _name_sets(objects=objects)
    checks.same_length(objects=shown)
    random, known = Random(int(seed)), sorted(set().union(*shown))
    popular = Counter(name for names in shown for name in names)
    together = {name: Counter() for name in known}
    for names in shown:
        for name in names:
            together[name].update(names)
    questions = []
    for image, names in enumerate(shown):
        absent = [name for name in known if name not in names]
        random.shuffle(absent)
        if how == "popular":
            absent.sort(key=lambda name: -popular[name])
        elif how == "adversarial":
            absent.sort(key=lambda name: -sum(together[other][name] for other in names))
        count = min(each, len(names), len(absent))
        asked = random.sample(sorted(names), count) + absent[:count]
        questions += [PopeQuestion(image, name, name in names) for name in asked]
    return questions


def says_yes(answers: Sequence[str]) -> Tensor:
    """(N,) bool: which answers mean yes. All do but those with a no or not in their first sentence,
    as in POPE; an answer that says neither counts as yes.
    """
    answers = checks.listed(str, answers=answers)
    checks.same_length(answers=answers)
    firsts = [answer.lower().replace("\u2019", "'").partition(".")[0] for answer in answers]
    firsts = [words(first.replace("n't", " not")) for first in firsts]
    return torch.tensor([NO.isdisjoint(first) for first in firsts])


def mentions(captions: Sequence[str], synonyms: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The objects that each caption names, in its order, as often as it does.

    Where several names begin at a word the longest counts: "hot dog" is no dog.

    Args:
        synonyms: for each object the words it goes by, such as "dog": ["puppy"], beside its own
            name; of each also the plural in -s or -es. Its own name always means the object itself.
    """
    captions = checks.listed(str, captions=captions)
    checks.instance(Mapping, synonyms=synonyms)
    checks.same_length(captions=captions)
    checks.same_length(synonyms=synonyms)
    said = [(name, name) for name in checks.listed(str, **{"names of synonyms": list(synonyms)})]
    for name, others in synonyms.items():
        said += [(each, name) for each in checks.listed(str, **{f"synonyms[{name!r}]": others})]
    means = {}
    for ending in ("", "s", "es"):  # a plural is another object's where that is its name: "glasses"
        for each, name in said:
            if not words(each):
                raise ValueError(f"synonyms[{name!r}] must be words, got {each!r}")
            means.setdefault(tuple(words(each + ending)), name)
    longest = max(map(len, means))
    return [_named(words(caption), means, longest) for caption in captions]


def _named(tokens: list[str], means: dict[tuple[str, ...], str], longest: int) -> list[str]:
    found, place = [], 0
    while place < len(tokens):
        runs = (tuple(tokens[place : place + size]) for size in range(longest, 0, -1))
        run = next((run for run in runs if run in means), None)
        if run:
            found.append(means[run])
        place += len(run) if run else 1
    return found


def chair(
    mentioned: Sequence[Sequence[str]],
    objects: Sequence[Sequence[str]],
    weights: Tensor | None = None,
) -> Chair:
    """How often captions mention what their pictures do not show.

    Args:
        mentioned: of each caption the objects that it mentions (`mentions`), each as often as it
            does; it may mention none.
        objects: of each picture what it shows.
        weights: (N,), or (R, N) for many sets at once; None for all alike.

    Source: Rohrbach et al. (2018), Object hallucination in image captioning.
    """
    said = [
        checks.listed(str, **{f"mentioned[{i}]": each})
        for i, each in enumerate(checks.listed(Sequence, mentioned=mentioned))
    ]
    shown = _name_sets(objects=objects)
    checks.same_length(mentioned=said, objects=shown)
    counts = [
        (sum(name not in there for name in names), len(names), len(there & {*names}), len(there))
        for names, there in zip(said, shown, strict=True)
    ]
    wrong, named, hit, there = torch.tensor(counts).double().T
    weights = as_weights(weights, len(counts))
    shares = ((wrong, named), ((wrong > 0).double(), torch.ones_like(wrong)), (hit, there))
    return Chair(*(number(_ratio(weights @ part, weights @ whole)) for part, whole in shares))


def _name_sets(**argument: Sequence[Sequence[str]]) -> list[set[str]]:
    """The argument, a list of lists of names, as sets."""
    [name] = argument
    lists = enumerate(checks.listed(Sequence, **argument))
    return [set(checks.listed(str, **{f"{name}[{i}]": each})) for i, each in lists]
