"""Word and subword tokenizers: ids, unknown words, Chinese characters, files."""

import pytest

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
