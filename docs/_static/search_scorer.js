/* Which page of a search comes first. The search itself knows only that a page has a word, in a heading or
   elsewhere, so that pages which have many words would win. PAGE_WORDS has for each page the words by which
   the index of the documentation names it: a page that is named by every word of the query is what was looked
   for, the more so where its title has them all. Names of Python come next, then other guides, and last what lists everything.
   The numbers that are not ours are the search's own. */
var Scorer = (() => {
  const NAMED = 50;
  const TITLED = 10;
  const LISTS = /^(?:index|cli|errors|api_\w+)$/;
  const LISTED = -12;

  const stems = (words) => {
    const stemmer = new Stemmer();
    return new Set([...words].map((word) => stemmer.stemWord(word)));
  };
  const asked = () => {
    const query = new URLSearchParams(window.location.search).get("q") || "";
    return stems(splitQuery(query.toLowerCase()).filter((word) => !stopwords.has(word)));
  };
  let query = null;
  const known = new Map();

  const all = (words) => query.size > 0 && [...query].every((word) => words.has(word));
  const named = (page, title) => {
    query ??= asked();
    if (!known.has(page)) known.set(page, stems(PAGE_WORDS[page] || []));
    return (all(known.get(page)) ? NAMED : 0) + (all(stems(splitQuery(title.toLowerCase()))) ? TITLED : 0);
  };

  return {
    score: ([page, title, anchor, description, score, file, kind]) => {
      if (kind !== "text") return score;
      if (LISTS.test(page)) return score + LISTED;
      return score + named(page, title);
    },
    objNameMatch: 11,
    objPartialMatch: 6,
    objPrio: { 0: 15, 1: 5, 2: -5 },
    objPrioDefault: 0,
    title: 15,
    partialTitle: 7,
    term: 5,
    partialTerm: 2,
  };
})();
