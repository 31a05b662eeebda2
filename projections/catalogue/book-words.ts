import type { BookRow } from './rows.js';
import { searchWords } from './search-text.js';

/**
 * Largest number of characters in `book_words.words`, and in the part of title and credits. Of a book with more, the
 * last words are not found.
 */
const MAX_WORDS = 262_144;
const MAX_OWN_WORDS = MAX_WORDS / 2;
/** Stands between the words of title and credits and the words of the authors' names. No word contains it. */
const BAR = '|';

/** The text, or as many of its words as have room. */
const cut = (text: string, most: number): string =>
  text.length > most ? text.slice(0, text.lastIndexOf(' ', most - 1)) : text;

/** The words of a book's title and printed credits, with a bar at the end. */
export const ownWords = ({ title, links }: BookRow): string =>
  wordsOf(
    title,
    links.flatMap(({ creditedAs }) => creditedAs ?? []),
  );

export const wordsOf = (title: string, credits: readonly string[]): string =>
  `${cut(searchWords([title, ...credits].join(' ')), MAX_OWN_WORDS)}${BAR}`;

/** The words of a book: its own, and those of its authors in the book's order. */
export const bookWords = (own: string, authors: readonly string[]): string =>
  cut(`${own}${authors.join('')}`, MAX_WORDS);

/** SQL for the words of a book in a query whose row `made` has the own words as `own` and those of the authors as `authors`. */
export const ALL_WORDS = `case when length(made.own) + length(made.authors) <= ${MAX_WORDS} then made.own || made.authors
  else left(made.own || made.authors,
    ${MAX_WORDS} - strpos(reverse(left(made.own || made.authors, ${MAX_WORDS})), ' ')) end`;

/** SQL for {@link ownWords}, from the words of a book. */
export const ownWordsIn = (words: string): string => `split_part(${words}, '${BAR}', 1) || '${BAR}'`;

/** SQL for the words of the names of a book's authors, in the book's order. */
export const authorWordsOf = (book: string): string =>
  // Not a join: without statistics, the planner would read all authors.
  `coalesce((select string_agg((select a.words from authors a where a.id = l.author_id), '' order by l.position)
             from author_book l where l.book_id = ${book}), '')`;
