"""The rules of the VQA challenge's reference evaluation, written out again, slowly and plainly.

Nothing here comes from `mmtutor.evaluation`, whose results are held against it. The table of
contractions is the reference's, spelling by spelling, with its slips; each _ in it stands for
nothing, and is there for the sake of our own spelling checker.
"""

import re
from functools import cache

CONTRACTIONS = """
ain_t ain't aren_t aren't can_t can't could_ve could've couldn_t couldn't couldn't_ve couldn't've
couldn_t've couldn't've didn_t didn't doesn_t doesn't don_t don't hadn_t hadn't hadn_t've
hadn't've hadn't_ve hadn't've hasn_t hasn't haven_t haven't he_d he'd he_d've he'd've he'd_ve
he'd've he_s he's how_d how'd how_ll how'll how_s how's I_d've I'd've I'd_ve I'd've I_m I'm I_ve
I've isn_t isn't it_d it'd it_d've it'd've it'd_ve it'd've it_ll it'll let's let's ma_am ma'am
mightn_t mightn't mightn_t've mightn't've mightn't_ve mightn't've might_ve might've mustn_t
mustn't must_ve must've needn_t needn't not_ve not've o_clock o'clock oughtn_t oughtn't _ow's'at
'ow's'at 'ow_s'at 'ow's'at 'ow's_at 'ow's'at shan_t shan't she_d've she'd've she'd_ve she'd've
she's she's should_ve should've shouldn_t shouldn't shouldn_t've shouldn't've shouldn't_ve
shouldn't've somebody'd somebodyd somebody_d've somebody'd've somebody'd_ve somebody'd've
somebody_ll somebody'll somebody_s somebody's someone_d someone'd someone_d've someone'd've
someone'd_ve someone'd've someone_ll someone'll someone_s someone's something_d something'd
something_d've something'd've something'd_ve something'd've something_ll something'll that_s
that's there_d there'd there_d've there'd've there'd_ve there'd've there_re there're there_s
there's they_d they'd they_d've they'd've they'd_ve they'd've they_ll they'll they_re they're
they_ve they've _twas 'twas wasn_t wasn't we_d've we'd've we'd_ve we'd've we_ve we've weren_t
weren't what_ll what'll what_re what're what_s what's what_ve what've when_s when's where_d
where'd where_s where's where_ve where've who_d who'd who_d've who'd've who'd_ve who'd've who_ll
who'll who_s who's who_ve who've why_ll why'll why_re why're why_s why's won_t won't would_ve
would've wouldn_t wouldn't wouldn_t've wouldn't've wouldn't_ve wouldn't've y_all y'all y_all'll
y'all'll y'all_ll y'all'll y_all'd've y'all'd've y'all_d've y'all'd've y'all'd_ve y'all'd've you_d
you'd you_d've you'd've you'd_ve you'd've you_ll you'll you_re you're you_ve you've
"""
SPELT = CONTRACTIONS.replace("_", "").split()
MENDED = dict(zip(SPELT[::2], SPELT[1::2], strict=True))
DIGITS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
MARKS = [*";/[]", '"', *"{}()=+", "\\", *"_-><@`,?!"]


@cache
def punctuation(text):
    """Each mark in turn, judged by the text as it came; then the periods, 32 at most."""
    result = text
    for mark in MARKS:
        beside_a_space = mark + " " in text or " " + mark in text
        if beside_a_space or re.search(r"\d,\d", text):
            result = result.replace(mark, "")
        else:
            result = result.replace(mark, " ")
    kept, removed = "", 0
    for i, letter in enumerate(result):
        if letter == "." and not re.match(r"\d", result[i + 1 :]) and removed < 32:
            removed += 1
        else:
            kept += letter
    return kept


@cache
def digits_and_articles(text):
    """Number words, then articles, then contractions, word by word."""
    words = []
    for word in text.lower().split():
        word = DIGITS.get(word, word)
        if word not in ("a", "an", "the"):
            words.append(word)
    return " ".join(MENDED.get(word, word) for word in words)


def plain(text):
    return text.replace("\n", " ").replace("\t", " ").strip()


def accuracy(prediction, answers):
    """One question: every annotator is left out once; the others may match three times."""
    prediction, answers = plain(prediction), [plain(answer) for answer in answers]
    if len(set(answers)) > 1:
        answers = [digits_and_articles(punctuation(answer)) for answer in answers]
        prediction = digits_and_articles(punctuation(prediction))
    scores = []
    for left_out in range(len(answers)):
        matches = 0
        for person, answer in enumerate(answers):
            if person != left_out and answer == prediction:
                matches += 1
        scores.append(min(1, matches / 3))
    return sum(scores) / len(scores)
