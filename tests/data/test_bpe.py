"""Merges in plain Python against those of the `tokenizers` library, ties included."""

import json
import random

import pytest

from mmtutor.data.bpe import _byte_letters, _merge, learn_merges, readable, split_by


def library_merges(words, count):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    size = len({letter for word in words for letter in word}) + count
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False)
    tokenizer.train_from_iterator([" ".join(words)], trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) for pair in merges], tokenizer


@pytest.mark.parametrize("seed", range(20))
def test_merges_equal_the_librarys_ties_included(seed):
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcd红色", k=draw.randint(1, 8))) for _ in range(9)]
    expected, tokenizer = library_merges(words, 12)
    merges = learn_merges(words, 12)
    assert merges == expected
    text = "".join(words)
    assert split_by(merges, text) == tokenizer.encode(text).tokens


def test_the_most_frequent_pair_is_merged_first_and_the_end_is_reached():
    words = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6
    assert learn_merges(words, 1) == [("w", "e")]
    assert learn_merges(["ab"], 10) == [("a", "b")]
    assert learn_merges([], 3) == []


def test_a_merge_takes_pairs_from_left_to_right():
    assert _merge("aaaa", ("a", "a")) == ["aa", "aa"]
    assert _merge("aaa", ("a", "a")) == ["aa", "a"]
    assert _merge("abab", ("b", "a")) == ["a", "ba", "b"]


def test_byte_letters_are_the_librarys():
    from tokenizers.pre_tokenizers import ByteLevel

    letters = _byte_letters()
    assert sorted(letters) == list(range(256))
    assert sorted(letters.values()) == sorted(ByteLevel.alphabet())
    for text in ("a b\n", "猫", "é"):
        shown = "".join(
            piece for piece, _ in ByteLevel(False, use_regex=False).pre_tokenize_str(text)
        )
        assert shown == "".join(letters[byte] for byte in text.encode())
        assert readable(shown) == text


def test_bytes_that_are_no_character_are_shown_as_numbers():
    letters = _byte_letters()
    assert readable(letters[0xE7] + letters[0x8C]) == "<E7><8C>"
    assert readable("▁cat") == "▁cat"


def test_merges_read_from_json_are_pairs_too():
    assert split_by([["a", "b"], ["ab", "c"]], "abcd") == ["abc", "d"]
    with pytest.raises(ValueError, match="merges must be pairs"):
        split_by([("a", "b", "c")], "abc")
    with pytest.raises(TypeError, match="words must be a list"):
        learn_merges("abab", 1)
