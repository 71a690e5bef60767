"""The Penn Treebank cut of COCO's caption evaluation, without Java.

Knows the rules of Stanford's `PTBTokenizer` (CoreNLP 3.4.1, `-preserveLines -lowerCase`) that
captions in English need, and which tokens COCO's program then drops. Does not know scores.
"""

from __future__ import annotations

import re

# Words with a full stop of their own; "no." is one before a number.
SHORTENED = """
mr mrs ms dr st ave jr sr vs etc prof rev gen capt col lt sgt gov sen rep hon inc co corp ltd
bros jan feb mar apr aug sept sep oct nov dec mon tue tues wed thu thurs fri ft dept blvd rd
mt messrs mme ph.d al ed ind ga ca cal calif
"""
HALVES = {  # said as one word, cut in two
    "cannot": "can not",
    "gonna": "gon na",
    "wanna": "wan na",
    "gotta": "got ta",
    "lemme": "lem me",
    "gimme": "gim me",
    "'tis": "'t is",
    "'twas": "'t was",
}
SPELT = {"€": "$", "£": "#", "¢": "cents", "…": "...", "–": "--", "—": "--"}
SPELT |= {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
SIGNS = {"&amp;": "&", "&lt;": "< ", "&gt;": " >", "&quot;": '"'}
SIGNS |= {"’": "'", "‘": "'", "“": '"', "”": '"'}
# What COCO drops. The names of brackets are in capitals in its list, so that "-lrb-" stays.
DROPPED = frozenset(["", "''", "'", "``", "`", ".", "?", "!", ",", ":", "...", ";", '"'])

TOKEN = re.compile(
    rf"""
      https?://\S+ | www\.\S+ | [\w.]+@\w+(?:\.\w+)+    # addresses
    | <[a-z]+>                                          # a tag
    | [#@][a-z]\w*                                      # #cat, @me
    | [:;]-?[()dp](?!\w)                                # a smile
    | (?-i:[A-Z]+&[A-Z]+)                               # AT&T
    | (?:[a-z]\.){{2,}} | [a-z](?:\.[a-z])+(?!\w)       # u.s. and u.s
    | \b(?:{"|".join(SHORTENED.split())})\.(?!\w)       # mr.
    | \bno\.(?=\s\d)
    | \b[a-z]+\.(?=[,;:])                               # any word before another mark
    | \b(?-i:[A-Z]\.(?!\w)|[a-z]\.(?!\w|\s+A\b))          # the A. of a name
    | '(?:tis|twas|em|\d0s)\b | 'n'                      # these begin with an apostrophe
    | o'clock\b | d'ye\b | y'(?=all\b)
    | [a-z]+?(?=n't\b) | n't\b                          # is n't
    | '(?:s|m|d|re|ve|ll|n)\b                           # he 's
    | (?:us|c|a|hk)\$ | [$€£¥]
    | (?<!\S)[-+](?=\.?\d) (?:\d+(?:[.,:/]\d+)*|\.\d+)(?![\w-]) # -3.5
    | (?:\d+(?:[.,:/]\d+)*|(?<!\w)\.\d+)(?!\w|[-/_.]\w)           # 1,000, 3:30, 1/2
    | \w+(?:[-/_.]\w+|\+\+)*                            # words, 10-20, and/or, flag.A
    | \.\.\.|[?!]+|-{{2,}}|`` | ''
    | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _treebank(text: str) -> list[str]:
    """The tokens that COCO's program counts: a man's (big) dog -> a man 's -lrb- big -rrb- dog."""
    for sign, other in SIGNS.items():
        text = text.replace(sign, other)
    tokens = (token.lower() for token in TOKEN.findall(text) if token <= "\uffff")
    spelt = (HALVES.get(token) or "".join(SPELT.get(x, x) for x in token) for token in tokens)
    return [part for token in spelt for part in token.split() if part.strip("-") not in DROPPED]
