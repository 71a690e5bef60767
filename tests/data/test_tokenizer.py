"""Word and subword tokenizers: ids, unknown words, Chinese characters, files."""

import pytest
import torch

from mmtutor.data.splits import normalised
from mmtutor.data.tokenizer import SubwordTokenizer, WordTokenizer, words


def test_words_are_lower_case_and_characters_stand_alone():
    assert words("A red Circle, left of it!") == ["a", "red", "circle", "left", "of", "it"]
    assert words("Don't stop: the dog’s 2 cats_") == ["don't", "stop", "the", "dog’s", "2", "cats"]
    assert words("红色 circle圆形。") == ["红", "色", "circle", "圆", "形"]
    assert words("Ein Kätzchen, ＡＢ") == ["ein", "kätzchen", "ab"]
    assert words("?! _ 。") == []


def test_ids_by_frequency_then_spelling():
    tokenizer = WordTokenizer.fit(["b a b", "d a b c", ""])
    assert tokenizer.vocabulary == ["b", "a", "c", "d"]
    assert tokenizer.size == 6
    assert tokenizer.encode("a B zebra d") == [3, 2, 1, 5]
    assert tokenizer.decode([3, 2, 1, 5, 0, 0]) == "a b <unk> d"
    assert WordTokenizer.fit(["b a b", "c a b d"], min_count=2).vocabulary == ["b", "a"]


def test_chinese_is_joined_again():
    tokenizer = WordTokenizer.fit(["一只猫 cat"])
    assert tokenizer.decode(tokenizer.encode("一只猫cat 猫")) == "一只猫 cat 猫"


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(ValueError, match="has no word to encode"):
        WordTokenizer.fit(["a"]).encode(text)


def test_nothing_to_fit_on_is_refused():
    with pytest.raises(ValueError, match="no word occurs 3 times"):
        WordTokenizer.fit(["a b", "a"], min_count=3)
    with pytest.raises(ValueError, match="a word twice"):
        WordTokenizer(["a", "b", "a"])


def test_save_and_load(tmp_path):
    tokenizer = WordTokenizer.fit(["a red circle 红色"])
    tokenizer.save(tmp_path / "words.json")
    loaded = WordTokenizer.load(tmp_path / "words.json")
    assert loaded.encode("红 circle x") == tokenizer.encode("红 circle x")
    assert [path.name for path in tmp_path.iterdir()] == ["words.json"]


@pytest.mark.parametrize("content", ["[1, 2", "{}", '{"vocabulary": 3}', "[]"])
def test_another_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"other.json is not a saved WordTokenizer"):
        WordTokenizer.load(path)


@pytest.fixture
def subword_file(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = {"[CLS]": 0, "[UNK]": 1, "cat": 2, "##s": 3, "red": 4}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 0)]
    )
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(max_length=2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_subwords_without_padding_truncation_or_special_tokens(subword_file):
    tokenizer = SubwordTokenizer.from_file(subword_file)
    assert tokenizer.encode("red cats red dog") == [4, 2, 3, 4, 1]
    assert tokenizer.size == 5
    assert "red" in tokenizer.decode([4, 2])
    with pytest.raises(ValueError, match="has no token to encode"):
        tokenizer.encode("  ")


def test_a_missing_or_broken_subword_file_is_named(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("missing.json", "broken.json"):
        with pytest.raises(ValueError, match=f"{name} is not a tokenizer file"):
            SubwordTokenizer.from_file(tmp_path / name)


def test_characters_are_units_too(tmp_path):
    tokenizer = WordTokenizer.fit(["Ab  c", "红色。"], unit="character")
    assert tokenizer.pieces("A  B\n红") == ["a", " ", "b", " ", "红"]
    assert tokenizer.decode(tokenizer.encode("cab 红!")) == "cab 红<unk>"
    tokenizer.save(tmp_path / "characters.json")
    assert WordTokenizer.load(tmp_path / "characters.json").encode("a红") == tokenizer.encode("a红")
    with pytest.raises(ValueError, match="has no character to encode"):
        tokenizer.encode("  ")
    with pytest.raises(ValueError, match="unit must be 'word' or 'character', got 'syllable'"):
        WordTokenizer.fit(["a"], unit="syllable")


def test_a_trained_bpe_knows_every_text_and_gives_it_back(tmp_path):
    texts = ["a red circle", "a red square", "红色的圆形", "红色的正方形"] * 5
    tokenizer = SubwordTokenizer.fit(texts, 300)
    assert tokenizer.size <= 300
    for text in ("a red circle", "红色的", "猫 🦉 zebra"):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids).strip() == text
        assert 0 not in ids  # it pads
        assert max(ids) < tokenizer.size
    assert " red" in tokenizer.pieces("red")
    assert tokenizer.pieces("红色的") == [" 红色的"]
    assert tokenizer.pieces("猫")[-3:] == ["<E7>", "<8C>", "<AB>"]
    tokenizer.save(tmp_path / "tokenizer.json")
    again = SubwordTokenizer.from_file(tmp_path / "tokenizer.json")
    assert again.encode("Red 红色") == tokenizer.encode("red 红色")


def test_training_is_repeatable_and_needs_room_for_the_bytes():
    texts = ["a red circle", "红色的圆形"]
    one, two = (SubwordTokenizer.fit(texts, 270) for _ in range(2))
    assert one.encode(texts[1]) == two.encode(texts[1])
    with pytest.raises(ValueError, match="size must be a whole number of at least 257, got 256"):
        SubwordTokenizer.fit(texts, 256)


def test_text_where_a_list_belongs_is_not_read_letter_by_letter():
    for fit in (WordTokenizer.fit, lambda texts: SubwordTokenizer.fit(texts, 300)):
        with pytest.raises(TypeError, match="texts must be a list"):
            fit("a small circle")
    with pytest.raises(TypeError, match="text must be a string"):
        WordTokenizer(["a"]).encode(["a"])


def test_ids_outside_the_vocabulary_are_refused():
    tokenizer = WordTokenizer(["a", "b"])
    assert tokenizer.decode(torch.tensor([2, 0, 3])) == "a b"
    for ids in ([-1], [4]):
        with pytest.raises(ValueError, match=r"ids must lie in \[0, 4\)"):
            tokenizer.decode(ids)


def test_marks_part_no_word_and_no_caption():
    assert words("हिन्दी की") == ["हिन्दी", "की"]
    assert normalised("लड़का की") != normalised("लड़के का")
