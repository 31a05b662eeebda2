/** A made-up language in one script: words of different lengths, of which few are frequent and most are rare. */
export interface Language {
  readonly script: string;
  /** The part of the books and authors that are in this language. */
  readonly share: number;
  /** Words, the most frequent first. The n-th word comes 1/n times as often as the first. */
  readonly words: readonly string[];
  /** What stands between words. Han has nothing. */
  readonly space: string;
}

/** A sequence of numbers that look random: the same every time. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000) * below);
  };
}

const letters = (from: string, to: string): string[] =>
  Array.from({ length: (to.codePointAt(0) ?? 0) - (from.codePointAt(0) ?? 0) + 1 }, (_, n) =>
    String.fromCodePoint((from.codePointAt(0) ?? 0) + n),
  );

/** Numbers below `count`, of which n comes about 1/n times as often as the first. */
const zipf = (count: number, random: (below: number) => number): number =>
  Math.floor((count + 1) ** (random(1 << 24) / (1 << 24))) - 1;

const SIZE = 40_000;

function language(
  script: string,
  share: number,
  consonants: readonly string[],
  vowels: readonly string[],
  seed: number,
): Language {
  const random = randomNumbers(seed);
  const words = new Set<string>();
  while (words.size < SIZE) {
    // The most frequent words are short.
    const syllables = 1 + random(words.size < 100 ? 2 : 5);
    let word = '';
    for (let n = 0; n < syllables; n += 1)
      word += `${consonants[zipf(consonants.length, random)]}${vowels[zipf(vowels.length, random)]}`;
    if (random(3) === 0) word += consonants[zipf(consonants.length, random)];
    words.add(word);
  }
  return { script, share, words: [...words], space: ' ' };
}

const split = (text: string): string[] => text.split(' ');

/** Three of five books are in the first language. */
export const LANGUAGES: readonly Language[] = [
  language(
    'Latin',
    0.6,
    split('t s n r l d m c p b v f g h st tr w k br q z x'),
    split('e a i o u ea ou y'),
    1,
  ),
  language(
    'Cyrillic',
    0.15,
    split('т с н р л д м к п б в ф г х ст тр ж з ш ч ц'),
    split('о е а и у я ы ю'),
    2,
  ),
  language('Greek', 0.05, split('τ σ ν ρ λ δ μ κ π β γ φ χ θ ξ ψ'), split('α ε ο ι η υ ω ου'), 3),
  language('Devanagari', 0.1, split('क र न त स म प ल द व य ह ग ब ज च श भ'), split('ा ि ी े ो ु ू ै'), 4),
  { script: 'Han', share: 0.1, words: letters('一', '鿋').slice(0, 6_000), space: '' },
];

/** A text in the language, of so many words. */
export function makeText(language: Language, words: number, random: (below: number) => number): string {
  return Array.from({ length: words }, () => language.words[zipf(language.words.length, random)]).join(
    language.space,
  );
}

export interface MadeAuthor {
  readonly language: Language;
  readonly name: string;
}
export interface MadeBook {
  readonly title: string;
  /** Places in the list of authors. */
  readonly authors: readonly number[];
}

/** Authors and books, language by language, as imports of one catalogue after another leave them. */
export function* makeAuthors(count: number): Iterable<MadeAuthor> {
  const random = randomNumbers(5);
  for (const language of LANGUAGES)
    for (let n = Math.round(count * language.share); n > 0; n -= 1)
      yield { language, name: makeText(language, 2 + random(2), random) };
}

export function* makeBooks(count: number, authors: number): Iterable<MadeBook> {
  const random = randomNumbers(6);
  let first = 0;
  for (const language of LANGUAGES) {
    const own = Math.round(authors * language.share);
    for (let n = Math.round(count * language.share); n > 0; n -= 1) {
      const title = makeText(language, language.space ? 2 + random(7) : 3 + random(10), random);
      // Few authors have many books. One book of ten has two authors.
      const by = new Set([first + zipf(own, random)]);
      if (random(10) === 0) by.add(first + random(own));
      yield { title, authors: [...by] };
    }
    first += own;
  }
}
