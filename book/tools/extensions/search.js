// Beside `search.py`, which makes the index to match and gives HAN, the Chinese characters.
var splitQuery = (query) => query.match(new RegExp(
  `[${HAN}]+|(?:(?![${HAN}])[\\p{Letter}\\p{Number}_\\p{Emoji_Presentation}])+`, "gu")) ?? [];

// Sphinx lets a page lack words where others have one or two characters, as most Chinese words do.
// Here a page must have each word of the query.
{
  const found = Search.performTermsSearch;
  Search.performTermsSearch = (words, excluded) => {
    const having = [...words].map((word) =>
      new Set(found(new Set([word]), excluded).map(([page]) => page)));
    return found(words, excluded).filter(([page]) => having.every((pages) => pages.has(page)));
  };
}
