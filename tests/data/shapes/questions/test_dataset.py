"""`shapes-questions`: exact answers by a slow evaluator, truthful words, even and biased priors."""

import ast
import hashlib
import re
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
import torch

from mmtutor.data import collate, load
from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH, SIZES_ZH
from mmtutor.data.shapes.questions.dataset import (
    ANSWERS,
    ANSWERS_ZH,
    FORMS,
    TYPES,
    pairs,
    questions,
)
from mmtutor.data.shapes.questions.forms import FORMS_OF, evaluate, matching
from mmtutor.data.shapes.questions.words import chinese, english, programs
from mmtutor.data.shapes.scene import (
    COLOURS,
    HELD_OUT_SHAPE,
    SHAPES,
    SIZES,
)

# ------------------------------------------------------------------ a slow, plain second opinion

CHECKS = {
    "left_of": lambda a, b: a["column"] < b["column"],
    "right_of": lambda a, b: a["column"] > b["column"],
    "above": lambda a, b: a["row"] < b["row"],
    "below": lambda a, b: a["row"] > b["row"],
}


def things(scene, row):
    """The objects of one scene as dicts of words."""
    return [
        {
            "index": k,
            "size": SIZES[scene.size[row, k]],
            "colour": COLOURS[scene.colour[row, k]],
            "shape": SHAPES[scene.shape[row, k]],
            "row": int(scene.position[row, k]) // 3,
            "column": int(scene.position[row, k]) % 3,
        }
        for k in range(scene.count[row])
    ]


def execute(program, scene):
    """The answer of a program about `things`, and the indices of the objects it looked for."""
    found = set()

    def run(node):
        if isinstance(node, ast.Name):
            return node.id
        name, arguments = node.func.id, [run(argument) for argument in node.args]
        if name == "filter":
            those = [t for t in scene if all(word in t.values() for word in arguments)]
            found.update(t["index"] for t in those)
            return those
        if name == "unique":
            (those,) = arguments
            assert len(those) == 1, f"{program}: {len(those)} objects match"
            return those[0]
        if name in ("exist", "count"):
            return len(arguments[0]) if name == "count" else len(arguments[0]) > 0
        if name == "query":
            return arguments[1][arguments[0]]
        if name == "same":
            return arguments[1][arguments[0]] == arguments[2][arguments[0]]
        if name in CHECKS:
            return CHECKS[name](*arguments)
        return {"more": int.__gt__, "fewer": int.__lt__, "equal": int.__eq__}[name](*arguments)

    answer = run(ast.parse(program, mode="eval").body)
    return {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else str(answer), found


@pytest.mark.parametrize(
    ("split", "options"),
    [
        ("train", {}),
        ("test", {"max_objects": 3, "seed": 4}),
        ("unseen", {}),
        ("adversarial", {"prior": "biased"}),
    ],
)
def test_answers_are_those_of_a_slow_evaluator(split, options):
    asked, scene = questions(split, 2500, **options)
    about = matching(asked, scene).any(axis=1)
    for row, (program, label) in enumerate(
        zip(programs(asked), evaluate(asked, scene), strict=True)
    ):
        answer, found = execute(program, things(scene, row))
        assert answer == ANSWERS[label], program
        assert set(np.flatnonzero(about[row]).tolist()) == found


# ------------------------------------------------------------------------------------- words

NOUNS = {**{noun: noun for noun in SHAPES}, "thing": None, "object": None}
PLURALS = {("crosses" if noun == "cross" else noun + "s"): kind for noun, kind in NOUNS.items()}
PHRASE = (
    rf"\b(?:({'|'.join(SIZES)}) )?(?:({'|'.join(COLOURS)}) )?({'|'.join({**PLURALS, **NOUNS})})\b"
)
ASKED = {
    "exist": [r"is there an? #(?: in the picture)?", r"does the picture contain an? #"],
    "count": [r"how many #s (?:are there|does the picture contain)", r"what is the number of #s"],
    "more": [
        r"(?:are there|does the picture contain) more #s than #s",
        r"is the number of #s greater than the number of #s",
    ],
    "fewer": [
        r"(?:are there|does the picture contain) fewer #s than #s",
        r"is the number of #s smaller than the number of #s",
    ],
    "equal": [
        r"(?:are there|does the picture contain) exactly as many #s as #s",
        r"is the number of #s the same as the number of #s",
    ],
    "left of": [r"(?:is|does) the # (?:lie )?(?:to the )?left of the #"],
    "right of": [r"(?:is|does) the # (?:lie )?(?:to the )?right of the #"],
    "above": [r"is the # above the #", r"(?:is|does) the # (?:lie )?higher up than the #"],
    "below": [r"is the # below the #", r"(?:is|does) the # (?:lie )?lower down than the #"],
    **{
        f"query {a}": [
            rf"what {a} is the #",
            rf"what is the {a} of the #",
            rf"which {a} does the # have",
        ]
        for a in ("size", "colour", "shape")
    },
    **{
        f"same {a}": [
            rf"is the # the same {a} as the #",
            rf"do the # and the # have the same {a}",
            rf"is the {a} of the # the same as that of the #",
        ]
        for a in ("size", "colour", "shape")
    },
}


def read_english(question):
    """Form and descriptors as a reader takes them."""
    mentioned = []

    def note(match):
        size, colour, noun = match.groups()
        mentioned.append((size, colour, {**NOUNS, **PLURALS}[noun]))
        return "#s" if noun in PLURALS else "#"

    plain = re.sub(PHRASE, note, question)
    (form,) = [
        form
        for form, ways in ASKED.items()
        if any(re.fullmatch(way + r"\?", plain) for way in ways)
    ]
    vowel = re.search(r"\ban? \w", question)
    if form == "exist":
        assert vowel[0].startswith("an ") == (vowel[0][-1] in "aeiou"), question
    return form, mentioned


COLOUR_ZH, SHAPE_ZH = "|".join(COLOURS_ZH), "|".join([*SHAPES_ZH, "物体"])
PHRASE_ZH = rf"(?:([小大])的)?({COLOUR_ZH})?的?([小大])?({SHAPE_ZH})"
ASKED_ZH = {
    "exist": "图中有#吗|画面里有没有#|图中是否有#",
    "count": "图中有几个#|画面里一共有多少个#|#有多少个",
    "query size": "#是大的还是小的|图中#是大还是小|#的大小是什么",
    "query colour": "#是什么颜色|图中#是哪种颜色|#的颜色是什么",
    "query shape": "#是什么形状|图中#是哪种形状|#的形状是什么",
    "same size": "#和#大小相同吗|#的大小和#的一样吗|#与#一样大吗",
    "same colour": "#和#颜色相同吗|#的颜色和#的一样吗|#与#是同一种颜色吗",
    "same shape": "#和#形状相同吗|#的形状和#的一样吗|#与#是同一种形状吗",
    "more": "#比#多吗|图中#多于#吗|#的数量比#的大吗",
    "fewer": "#比#少吗|图中#少于#吗|#的数量比#的小吗",
    "equal": "#和#一样多吗|图中#与#数量相同吗|#的数量等于#的数量吗",
    "left of": "#(?:在|位于|是不是在)#的左[边侧]吗?",
    "right of": "#(?:在|位于|是不是在)#的右[边侧]吗?",
    "above": "#(?:在|位于|是不是在)#的上[方面]吗?",
    "below": "#(?:在|位于|是不是在)#的下[方面]吗?",
}


def read_chinese(question):
    mentioned = []

    def note(match):
        size, colour, size2, noun = match.groups()
        size = size or size2
        mentioned.append(
            (
                SIZES[SIZES_ZH.index(size)] if size else None,
                COLOURS[COLOURS_ZH.index(colour)] if colour else None,
                None if noun == "物体" else SHAPES[SHAPES_ZH.index(noun)],
            )
        )
        return "#"

    plain = re.sub(PHRASE_ZH, note, question)
    (form,) = [form for form, ways in ASKED_ZH.items() if re.fullmatch(f"(?:{ways})？", plain)]
    return form, mentioned


@cache
def read_program(program):
    words = re.findall(r"filter\(([^)]*)\)", program)
    mentioned = [
        tuple(next((w for w in ws.split(", ") if w in kind), None) for kind in KINDS_OF_WORD)
        for ws in words
    ]
    name, _, rest = program.partition("(")
    if name in ("query", "same"):
        name = f"{name} {rest.split(',')[0]}"
    return name.replace("_", " "), mentioned


KINDS_OF_WORD = (SIZES, COLOURS, SHAPES)


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_both_languages_ask_what_the_program_says(split):
    asked, _ = questions(split, 3000, seed=1)
    for form, said, said_zh, program in zip(
        asked.form, english(asked), chinese(asked), programs(asked), strict=True
    ):
        meant = read_program(program)
        assert meant[0] == FORMS[form]
        assert read_english(said) == meant, said
        assert read_chinese(said_zh) == meant, said_zh


def test_every_form_is_asked_in_several_ways():
    asked, _ = questions("train", 6000)
    ways, ways_zh = defaultdict(set), defaultdict(set)
    for form, said, said_zh in zip(asked.form, english(asked), chinese(asked), strict=True):
        ways[form].add(re.sub(PHRASE, "#", said).replace(" an ", " a "))
        ways_zh[form].add(re.sub(PHRASE_ZH, "#", said_zh))
    assert {len(found) for found in (*ways.values(), *ways_zh.values())} == {3}
    assert len(ways) == len(FORMS)


# ------------------------------------------------- what the question alone gives away: the least


def columns(*arguments, **options):
    """Programs, types and answers, without the cost of pictures."""
    asked, scene = questions(*arguments, **options)
    kind = {form: name for name, forms in FORMS_OF.items() for form in forms}
    answers = [ANSWERS[label] for label in evaluate(asked, scene)]
    return programs(asked), [kind[form] for form in asked.form], answers


def blind_accuracy(train, test, key=lambda program: program):
    """By type: the accuracy on `test` of the commonest answer in `train` to the same question."""
    seen, overall = defaultdict(Counter), defaultdict(Counter)
    for program, kind, answer in zip(*train, strict=True):
        seen[key(program)][answer] += 1
        overall[kind][answer] += 1
    right = defaultdict(list)
    for program, kind, answer in zip(*test, strict=True):
        known = seen[key(program)] or overall[kind]
        right[kind].append(known.most_common(1)[0][0] == answer)
    return {kind: sum(hits) / len(hits) for kind, hits in right.items()}


def query_chance():
    """The best that a blind guess can do on `query`, from the combinations that are seen."""
    colours = [1 / (len(COLOURS) - (s == HELD_OUT_SHAPE).sum()) for s in range(len(SHAPES))]
    return (1 / 2 + 1 / 5 + np.mean(colours)) / 3


def test_the_question_alone_is_worth_no_more_than_chance():
    chance = dict.fromkeys(TYPES, 1 / 2) | {"count": 1 / 6, "query": query_chance()}
    blind = blind_accuracy(columns("train", 30_000), columns("test", 20_000))
    assert blind.keys() == chance.keys()
    for kind, accuracy in blind.items():  # 4,000 of each: a standard deviation is below 0.008
        assert accuracy == pytest.approx(chance[kind], abs=0.025), kind


def test_answers_to_every_single_question_are_even():
    """Chi squared, question by question: exact wording for exist, content for the others."""
    for kinds, said, options in [
        (("exist",), english, 2),
        (("count",), programs, 6),
        (("query",), programs, None),
    ]:
        asked, scene = questions("train", 30_000, types=kinds, seed=5)
        table = defaultdict(Counter)
        for text, label in zip(said(asked), evaluate(asked, scene), strict=True):
            table[text][label] += 1
        statistic = freedom = 0
        for counts in table.values():
            total, kinds_of_answer = sum(counts.values()), options or len(counts)
            if total < 100:
                continue
            even = total / kinds_of_answer
            statistic += sum((count - even) ** 2 / even for count in counts.values())
            statistic += (kinds_of_answer - len(counts)) * even
            freedom += kinds_of_answer - 1
        assert freedom > 50
        assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def test_the_number_of_objects_says_nothing_of_yes_or_no():
    asked, scene = questions("train", 30_000)
    label = evaluate(asked, scene)
    for name in ("exist", "compare", "relate"):
        rows = np.isin(asked.form, FORMS_OF[name])
        assert set(scene.count[rows].tolist()) == {2, 3, 4, 5}
        for count in range(2, 6):
            yes = label[rows & (scene.count == count)] == ANSWERS.index("yes")
            assert yes.mean() == pytest.approx(0.5, abs=5 * 0.5 / len(yes) ** 0.5)


def favourite(program, turn):
    """The answer that the documentation calls this question's favourite."""
    form, mentioned = read_program(program)
    size, colour, shape = mentioned[0]
    head = next(
        kind.index(word)
        for kind, word in ((SHAPES, shape), (COLOURS, colour), (SIZES, size))
        if word
    )
    if form == "count":
        possible = [str(number) for number in range(6)]
    elif form == "query size":
        possible = list(SIZES)
    elif form == "query colour":
        possible = [c for i, c in enumerate(COLOURS) if SHAPES[HELD_OUT_SHAPE[i]] != shape]
    elif form == "query shape":
        possible = [s for i, s in enumerate(SHAPES) if HELD_OUT_SHAPE[COLOURS.index(colour)] != i]
    else:
        possible = ["yes", "no"]
    return possible[(head + turn) % len(possible)], set(possible)


@pytest.mark.parametrize(("split", "turn"), [("train", 0), ("test", 0), ("adversarial", 1)])
def test_biased_priors_are_as_documented(split, turn):
    hits, rest = defaultdict(list), defaultdict(Counter)
    for program, kind, answer in zip(*columns(split, 12_000, prior="biased"), strict=True):
        likely, possible = favourite(program, turn)
        assert answer in possible
        hits[kind].append(answer == likely)
        if answer != likely:
            rest[kind, likely][answer] += 1
    for kind, found in hits.items():
        assert np.mean(found) == pytest.approx(0.85, abs=0.035), kind
    for (kind, _), counts in rest.items():
        if kind == "count":  # the other five share what is left
            even = sum(counts.values()) / 5
            assert len(counts) == 5
            assert max(abs(count - even) for count in counts.values()) < 5 * even**0.5


def test_who_learns_the_bias_wins_at_home_and_loses_abroad():
    def head(program):
        form, mentioned = read_program(program)
        return form, (mentioned[0][2] or mentioned[0][1] or mentioned[0][0])

    train = columns("train", 15_000, prior="biased")
    home = blind_accuracy(train, columns("test", 6_000, prior="biased"), head)
    abroad = blind_accuracy(train, columns("adversarial", 6_000, prior="biased"), head)
    for kind in TYPES:
        assert home[kind] > 0.75, kind
        assert abroad[kind] < 0.22, kind
    balanced = blind_accuracy(train, columns("test", 6_000), head)
    assert balanced["exist"] == pytest.approx(0.5, abs=0.06)


def test_a_bias_is_in_the_answers_and_not_in_the_questions():
    fair, biased = (questions("train", 2000, prior=prior)[0] for prior in ("balanced", "biased"))
    assert programs(fair) == programs(biased)
    assert english(fair) == english(biased)


# ------------------------------------------------------------------------------------ pairs


def test_pairs_have_one_question_two_answers_and_hardly_differ():
    data = pairs(600, size=32, with_masks=True)
    assert len(data) == 1200
    assert data.column("pair").tolist() == [row // 2 for row in range(1200)]
    for name in ("question", "question_zh", "program", "type"):
        assert data.column(name)[::2] == data.column(name)[1::2]
    label = data.column("label")
    assert (label[::2] != label[1::2]).all()
    assert torch.equal(data.column("background")[::2], data.column("background")[1::2])
    assert torch.equal(data.column("position")[::2], data.column("position")[1::2])
    scene = data.column("scene")
    assert (scene[::2] != scene[1::2]).all()
    keys = ("size", "colour", "shape")
    same = torch.stack([data.column(k)[::2] == data.column(k)[1::2] for k in keys]).all(dim=0)
    changed = (~same).sum(dim=1)
    for kind, most in (("exist", 2), ("query", 1), ("relate", 2)):
        rows = torch.tensor([name == kind for name in data.column("type")[::2]])
        assert changed[rows].max() == most
    about = data.column("asked")[::2] | data.column("asked")[1::2]
    untouched = (~same & ~about).sum()
    assert untouched == 0, "an object changed that the question is not about"
    # and the pictures are equal but where an object that changed is, with its soft edge or thin tip
    moved = [data.column("masks")[row::2] & ~same[:, :, None, None] for row in (0, 1)]
    here = (moved[0] | moved[1]).any(dim=1).float()
    near = torch.nn.functional.max_pool2d(here[:, None], 5, 1, 2)[:, 0] > 0
    differ = (data.column("image")[::2] != data.column("image")[1::2]).any(dim=1)
    assert not (differ & ~near).any()
    assert data.column("type").count("count") > 100


def test_pairs_of_answers_cover_all_and_are_true():
    data = pairs(1500, size=32, seed=3)
    numbers = Counter(
        answer
        for answer, kind in zip(data.column("answer"), data.column("type"), strict=True)
        if kind == "count"
    )
    assert set(numbers) == set("012345")
    for row in range(0, 3000, 7):
        example = data[row]
        scene = [
            {
                "index": k,
                "size": SIZES[example["size"][k]],
                "colour": COLOURS[example["colour"][k]],
                "shape": SHAPES[example["shape"][k]],
                "row": int(example["position"][k]) // 3,
                "column": int(example["position"][k]) % 3,
            }
            for k in range(example["count"])
        ]
        assert execute(example["program"], scene)[0] == example["answer"]


# --------------------------------------------------------------------- columns, splits, options


def test_bytes_are_pinned():
    data = load("shapes-questions", "test", n=64, size=32, seed=7, with_masks=True)
    digest = hashlib.sha256()
    for name in sorted(data.columns):
        column = data.column(name)
        content = (
            "\n".join(column).encode() if isinstance(column, list) else column.numpy().tobytes()
        )
        digest.update(name.encode() + content)
    assert digest.hexdigest() == "111d158bd1dbfb848b339f9ca7607f9db374abf9ce88e94d9b1fe72e13928eec"


def test_fewer_are_a_prefix_of_more_and_streams_differ():
    few, many = (load("shapes-questions", n=n, size=32) for n in (20, 50))
    for name in few.columns:
        part = many.column(name)[:20]
        same = part == few.column(name)
        assert same if isinstance(same, bool) else same.all(), name
    for other in ({"seed": 1}, {"split": "val"}, {"split": "test"}):
        assert programs(questions(n=50, **other)[0]) != many.column("program")
    assert pairs(10, size=32).column("program") == pairs(20, size=32).column("program")[:20]


def test_columns_say_what_they_should():
    data = load("shapes-questions", "val", n=300, size=32, with_masks=True)
    assert [ANSWERS[label] for label in data.column("label")] == data.column("answer")
    assert set(data.column("type")) == set(TYPES)
    assert data.column("image_id").tolist() == list(range(300))
    masks, asked = data.column("masks"), data.column("asked")
    assert masks.shape == (300, 5, 32, 32)
    assert ((masks.sum(dim=(2, 3)) > 0).sum(dim=1) == data.column("count")).all()
    union = (masks & asked[:, :, None, None]).sum(dim=1)
    assert union.max() == 1
    assert torch.equal(union.bool(), data.column("target"))
    no_target = ~data.column("target").flatten(1).any(dim=1)
    for row in no_target.nonzero().flatten().tolist():
        assert data.column("answer")[row] in ("no", "0", "yes")
        assert data.column("type")[row] in ("exist", "count", "compare")
    batch = collate([data[row] for row in range(4)])
    assert batch["image"].dtype == torch.float32
    assert batch["target"].shape == (4, 32, 32)


def test_scene_is_a_number_for_what_stands_where():
    data = load("shapes-questions", "test", n=200, size=32)
    asked, scene = questions("test", 200)
    for row, number in enumerate(data.column("scene").tolist()):
        cells = [number // 97**cell % 97 - 1 for cell in range(9)]
        true = [-1] * 9
        for k in range(scene.count[row]):
            true[scene.position[row, k]] = int(scene.object[row, k])
        assert cells == true
    assert data.column("program") == programs(asked)


def test_chinese_questions_and_answers():
    english_data = load("shapes-questions", n=200, size=32)
    data = load("shapes-questions", n=200, size=32, language="zh")
    assert data.column("question") == data.column("question_zh")
    assert data.column("question_zh") == english_data.column("question_zh")
    assert torch.equal(data.column("label"), english_data.column("label"))
    assert data.column("answer") == [ANSWERS_ZH[label] for label in data.column("label")]
    assert len(set(ANSWERS_ZH)) == len(ANSWERS_ZH) == len(ANSWERS) == len(set(ANSWERS))
    translated = dict(zip(ANSWERS, ANSWERS_ZH, strict=True))
    for words, words_zh in ((COLOURS, COLOURS_ZH), (SHAPES, SHAPES_ZH), (SIZES, SIZES_ZH)):
        assert [translated[word] for word in words] == list(words_zh)


def held_out(scene):
    return (HELD_OUT_SHAPE[scene.colour] == scene.shape) & (scene.shape >= 0)


def test_unseen_shows_and_asks_for_what_no_other_split_has():
    for split in ("train", "test"):
        asked, scene = questions(split, 5000)
        assert not held_out(scene).any()
        assert not any(pair in HELD_OUT for pair in named(asked))
    asked, scene = questions("unseen", 5000)
    assert held_out(scene).any(axis=1).all()
    assert scene.count.min() == 3
    assert set(named(asked)) == HELD_OUT


HELD_OUT = {(colour, SHAPES[shape]) for colour, shape in zip(COLOURS, HELD_OUT_SHAPE, strict=True)}


def named(asked):
    """Every pair of colour and shape that some question mentions."""
    for program in programs(asked):
        for _, colour, shape in read_program(program)[1]:
            if colour and shape:
                yield colour, shape


def test_scenes_are_in_reading_order_with_all_cells_and_values():
    _, scene = questions("train", 5000)
    present = scene.shape >= 0
    assert (present.sum(axis=1) == scene.count).all()
    later = present[:, 1:]
    assert (np.diff(scene.position, axis=1)[later] > 0).all()
    for values, kinds in (
        (scene.position, 9),
        (scene.colour, 8),
        (scene.shape, 6),
        (scene.size, 2),
    ):
        assert set(values[present].tolist()) == set(range(kinds))


def test_types_and_the_number_of_objects_can_be_chosen():
    asked, scene = questions(n=3000, types=("count", "relate"), max_objects=3)
    assert scene.count.max() == 3
    label = evaluate(asked, scene)
    count = asked.form == FORMS.index("count")
    assert 0.45 < count.mean() < 0.55
    assert {ANSWERS[k] for k in label[count]} == set("0123")
    assert {FORMS[form] for form in asked.form[~count]} == {"left of", "right of", "above", "below"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "'unseen' or 'adversarial', got 'dev'"),
        ({"split": "adversarial"}, "needs prior='biased'"),
        ({"prior": "odd"}, "prior must be 'balanced' or 'biased', got 'odd'"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"max_objects": 2}, "max_objects must be 3, 4 or 5, got 2"),
        ({"max_objects": 6}, "max_objects must be 3, 4 or 5, got 6"),
        ({"types": ()}, "types must be"),
        ({"types": "exist"}, "types must be a list, each element a string, got 'exist'"),
        ({"types": ("exist", "why")}, "'compare' or 'relate', got 'why'"),
        ({"language": "fr"}, "language must be 'en' or 'zh', got 'fr'"),
        ({"size": 16}, "size must be a whole number of at least 32, got 16"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        load("shapes-questions", **{"n": 5, **options})
