"""The rules of the VQA challenge's reference evaluation, written out again, slowly and plainly.

Nothing here comes from `mmtutor.evaluation`, whose results are held against it. The table of
contractions is the reference's, spelling by spelling, with its slips.
"""

import re
from functools import cache

CONTRACTIONS = """
aint ain't arent aren't cant can't couldve could've couldnt couldn't couldn'tve couldn't've
couldnt've couldn't've didnt didn't doesnt doesn't dont don't hadnt hadn't hadnt've hadn't've
hadn'tve hadn't've hasnt hasn't havent haven't hed he'd hed've he'd've he'dve he'd've hes he's
howd how'd howll how'll hows how's Id've I'd've I'dve I'd've Im I'm Ive I've isnt isn't itd it'd
itd've it'd've it'dve it'd've itll it'll let's let's maam ma'am mightnt mightn't mightnt've
mightn't've mightn'tve mightn't've mightve might've mustnt mustn't mustve must've neednt needn't
notve not've oclock o'clock oughtnt oughtn't ow's'at 'ow's'at 'ows'at 'ow's'at 'ow'sat 'ow's'at
shant shan't shed've she'd've she'dve she'd've she's she's shouldve should've shouldnt shouldn't
shouldnt've shouldn't've shouldn'tve shouldn't've somebody'd somebodyd somebodyd've somebody'd've
somebody'dve somebody'd've somebodyll somebody'll somebodys somebody's someoned someone'd
someoned've someone'd've someone'dve someone'd've someonell someone'll someones someone's
somethingd something'd somethingd've something'd've something'dve something'd've somethingll
something'll thats that's thered there'd thered've there'd've there'dve there'd've therere there're
theres there's theyd they'd theyd've they'd've they'dve they'd've theyll they'll theyre they're
theyve they've twas 'twas wasnt wasn't wed've we'd've we'dve we'd've weve we've werent weren't
whatll what'll whatre what're whats what's whatve what've whens when's whered where'd wheres
where's whereve where've whod who'd whod've who'd've who'dve who'd've wholl who'll whos who's whove
who've whyll why'll whyre why're whys why's wont won't wouldve would've wouldnt wouldn't wouldnt've
wouldn't've wouldn'tve wouldn't've yall y'all yall'll y'all'll y'allll y'all'll yall'd've
y'all'd've y'alld've y'all'd've y'all'dve y'all'd've youd you'd youd've you'd've you'dve you'd've
youll you'll youre you're youve you've
"""
MENDED = dict(zip(CONTRACTIONS.split()[::2], CONTRACTIONS.split()[1::2], strict=True))
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
