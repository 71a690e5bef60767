"""When two free-text answers to a question about a picture count as one.

Knows the normalisation of the VQA challenge's reference evaluation, its oddities, and the rules as
the challenge describes them. Does not know scores, questions or pictures.
"""

from __future__ import annotations

import re

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'  # not the apostrophe and not the colon (2:50)
ARTICLES = {"a", "an", "the"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {word: str(digit) for digit, word in enumerate(NUMBERS)}
# Each stands for its spellings with one apostrophe left out: "dont", "couldnt've", "couldn'tve".
CONTRACTIONS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# Entries of the reference's table that cannot work: capitals, or a word that stands for itself.
UNREACHED = "i'm i've i'd've let's she's somebody'd"

BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")
PERIOD = re.compile(r"\.(?!\d)")
PERIODS = 32  # how many the reference removes: it hands `re.UNICODE`, 32, to `sub` as the count


def _misspelt(text: str) -> dict[str, str]:
    places = [(w, i) for w in text.split() for i, letter in enumerate(w) if letter == "'"]
    return {word[:i] + word[i + 1 :]: word for word, i in places}


REFERENCE_WORDS = {
    **DIGITS,
    "none": "0",
    **_misspelt(CONTRACTIONS),
    "somebody'd": "somebodyd",  # the wrong way round
}
MEANT_WORDS = {**DIGITS, **_misspelt(f"{CONTRACTIONS} {UNREACHED}")}


def trimmed(answer: str) -> str:
    """An answer without outer whitespace; a line break or tab within becomes a space."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


def normalized(answer: str, quirks: bool = True) -> str:
    """An answer in lower case, without punctuation and articles, with digits and apostrophes.

    With `quirks` every letter comes out as from the reference; without, as its description means:

    - a mark beside a space anywhere in the answer vanishes everywhere ("a-b - c": "ab c"), and in
      an answer with a number such as 1,000 every mark does ("1,000 m/s": "1000 ms"). Meant: a mark
      becomes a space, and only a comma between digits vanishes;
    - only the first 32 periods go (`PERIODS`);
    - "none" becomes "0", which is no number word;
    - six contractions are not mended (`UNREACHED`), and "somebody'd" loses its apostrophe;
    - an answer of articles alone, such as the letter "A", becomes empty. Meant: it stays.

    >>> normalized("The dogs' two bowls, I dont know.")
    "dogs' 2 bowls i don't know"
    """
    known = REFERENCE_WORDS if quirks else MEANT_WORDS
    words = _unmarked(trimmed(answer), quirks).lower().split()
    kept = [known.get(word, word) for word in words if word not in ARTICLES]
    return " ".join(kept if kept or quirks else words)


def _unmarked(answer: str, quirks: bool) -> str:
    """The answer without punctuation and without periods but decimal ones."""
    if not quirks:
        answer = BETWEEN_DIGITS.sub("", answer)
        return PERIOD.sub("", answer.translate(dict.fromkeys(map(ord, PUNCTUATION), " ")))
    number = BETWEEN_DIGITS.search(answer)
    marks = [p for p in PUNCTUATION if p in answer]
    vanishing = {p for p in marks if number or f"{p} " in answer or f" {p}" in answer}
    without = answer.translate({ord(p): "" if p in vanishing else " " for p in marks})
    return PERIOD.sub("", without, count=PERIODS)
