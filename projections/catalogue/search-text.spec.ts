import fc from 'fast-check';
import { foldText } from './fold-text.js';
import { prefixKey, queryWords, searchWords, sortKey } from './search-text.js';

/** Whether the query finds the text: what the conditions on the stored words say. */
function finds(query: string, text: string): boolean {
  const stored = searchWords(text);
  const groups = queryWords(query);
  return (
    groups.length > 0 &&
    groups.every((group) => group.some((way) => way.every((piece) => stored.includes(piece))))
  );
}

const APOSTROPHES = [...'\'’‘ʼʹ´′"“”«»‚‛„‟‹›ʻʾʿˈ`＇＂″‵՚׳״「」\u055a\uff40\u02ca\u1fbd\u1ffd'];
const DASHES = [...'-‐‑‒–—―−⁃﹘－⸺〜־゠~─'];
const BLANKS = [...' \u00a0\u1680\u2000\u2003\u2009\u200a\u202f\u205f\u3000\u2800\t\n\u0085\u2028'];
const INVISIBLE = [
  ...'\u200b\u200c\u200d\u200e\u200f\u00ad\u2060\ufeff\u202a\u202e\u2066\u2069\u061c\u180e\u034f\u3164\ufe0f\u115f\u{e0101}\u{e0041}\ufff9',
];

describe('a query finds', () => {
  test.each([
    ['GARCÍA marquez', 'Gabriel García Márquez'],
    ['Garci\u0301a', 'Gabriel Garcia Márquez'],
    ['Marquez Gabriel', 'Gabriel García Márquez'],
    ['arque', 'Gabriel García Márquez'],
    ['Enten - Eller', 'Enten – Eller'],
    ['Enten-Eller', 'Enten – Eller'],
    ['enten eller', 'Enten-Eller'],
    ['Anna Weber', 'Anna  Weber'],
    ['Weber ', 'Anna Weber'],
    ['maria kos', 'Mari\u200ba Kos'],
    ['dostoevsky', 'Dosto\u00adevsky'],
    ['Enten\u00adEller', 'Enten – Eller'],
    ['Anna Maria', 'Anna\u00adMaria'],
    ['أحمد', '\u200fأحمد'],
    ['احمد', 'أَحْمَد'],
    ['محمد', 'مـحـمد'],
    ['علی', 'علي'],
    ['شكسبير', 'شکسبیر'],
    ['J.R.R. Rost', 'J. R. R. Rost'],
    ['JRR Rost', 'J. R. R. Rost'],
    ['JRR Rost', 'J R R Rost'],
    ['J. R. R. Rost', 'JRR Rost'],
    ['J.R. R. Rost', 'JRR Rost'],
    ['J.R.R.Rost', 'JRR Rost'],
    ['J.R.R.Rost', 'Rost, J. R. R.'],
    ['JRR Rost', 'J.R.R.Rost'],
    ['Rost J', 'J. R. R. Rost'],
    ['JR Rost', 'J. R. R. Rost'],
    ['CS Lewis', 'A C. S. Lewis Reader'],
    ['A C.S. Lewis Reader', 'A CS Lewis Reader'],
    ['JP Sartre', 'J.-P. Sartre'],
    ['J. P. Sartre', 'J.-P. Sartre'],
    ['ЛН Толстой', 'Толстой Л. Н.'],
    ['СССР', 'С.С.С.Р.'],
    ['Muhammad Aziz', 'Muḥammad ʿAzīz'],
    ['וואָרט', 'װאָרט'],
    ['นํ้า', 'น้ำ'],
    ['അവന്', 'അവൻ'],
    ['অসত্', 'অসৎ'],
    ['فاطمة', 'فاطمۃ'],
    ["J'Accuse", 'J❛Accuse'],
    ['J. A. Rost', 'JA Rost'],

    ["Muhammad 'Aziz", 'Muḥammad ʿAzīz'],
    ['Muḥammad ʿAzīz', 'Muhammad Aziz'],
    ['Quran', 'Qurʾān'],
    ["Qur'an", 'Qurʾān'],
    ['Hawaii', 'Hawaiʻi'],
    ['N!ai', 'Nǃai'],
    ['Jean Paul', 'Jean-Paul'],
    ['jeanpaul', 'Jean-Paul'],
    ['Jean-Paul', 'Jeanpaul'],
    ['ジャン・ポール', 'ジャン＝ポール'],
    ['Paral·lel', 'Paraŀlel'],
    ['parallel', 'Paral·lel'],
    ['कबीर', 'कबीर'],
    ['ΑΡΙΣ', 'Αριστοτέλης'],
    ['ΑΡΙΣΤΟΤΕΛΗΣ', 'Αριστοτέλης'],
    ['ᾅδης', 'Άδης'],
    ['толстой', 'Лев Толстой'],
    ['ёлка', 'Елка'],
    ['strasse', 'Straße'],
    ['STRAẞE', 'Strasse'],
    ['Aero', 'Ærø'],
    ['Lodz', 'Łódź'],
    ['ISPARTA', 'ısparta'],
    ['istanbul', 'İstanbul'],
    ['Thor', 'Þór'],
    ['Dordevic', 'Đorđević'],
    ['office', 'oﬃce'],
    ['2001', '٢٠٠١'],
    ['1984', '１９８４'],
    ['1984', '१९८४'],
    ['C++', 'The C++ Book'],
    ['C#', 'C＃ in Depth'],
    ['C♯', 'C# in Depth'],
    ['1', 'Catch #1'],
    ['I ♥ NY', 'I♥NY'],
    ['❤', 'I ❤️ you'],
    ['AT&T', 'ATT'],
    ['Smith Sons', 'Smith & Sons'],
    ['U.S.A.', 'USA'],
    ['1/2', '½'],
    ['???', '???'],
    ['?', 'What is left?'],
    ['m', 'García Márquez'],
    ['«»', '“”'],
    ['紅樓', '紅樓夢'],
    ['夢', '紅樓夢'],
    ['村上 春樹', '村上春樹'],
    ['李白', '李 白'],
    ['ｶﾞﾝﾀﾞﾑ', 'ガンダム'],
    ['か゛ん', 'がん'],
    ['완서', '박완서'],
    ['박완서'.normalize('NFD'), '박완서'],
    ['רוזי', 'רוֹזִי'],
    ["ג'ורג'", 'ג׳ורג׳'],
    ['प्रेमचंद', 'प्रेमचन्द'.replace('न्', 'ं')],
    ['ดอกไม้', 'ดอกไม้'],
    ['มะลิ', 'ดอกมะลิ'],
  ])('%j: %j', (query, text) => expect(finds(query, text)).toBe(true));

  test.each(APOSTROPHES.map((mark) => [mark]))(
    'a text with %s by any apostrophe or quotation mark',
    (mark) => {
      for (const other of ['', ...APOSTROPHES]) {
        expect([other, finds(`J${other}Accuse`, `J${mark}Accuse…!`)]).toEqual([other, true]);
        expect([other, finds(`${other}Salem${other}`, `${mark}Salem${mark}`)]).toEqual([other, true]);
      }
    },
  );

  test.each(DASHES.map((dash) => [dash]))('a text with %s by any hyphen or dash', (dash) => {
    for (const other of ['\u00ad', ...DASHES]) {
      expect([other, finds(`Enten ${other} Eller`, `Enten ${dash} Eller`)]).toEqual([other, true]);
      expect([other, finds(`Anna${other}Maria`, `Anna${dash}Maria`)]).toEqual([other, true]);
    }
  });

  test.each(BLANKS.map((blank) => [blank]))('words around the blank %j', (blank) => {
    expect(finds('Anna Weber', `${blank}Anna${blank} ${blank}Weber${blank}`)).toBe(true);
    expect(finds(`${blank}Anna${blank}${blank}Weber${blank}`, 'Anna Weber')).toBe(true);
    expect(prefixKey(`${blank}Anna${blank} Weber${blank}`)).toBe('anna weber');
  });

  test.each(INVISIBLE.map((mark) => [mark]))('a word with the invisible %j in it', (mark) => {
    const text = `${mark}Mari${mark}a Kos${mark}`;
    expect(finds('maria kos', text)).toBe(true);
    expect(finds(text, 'Maria Kos')).toBe(true);
    expect(prefixKey(text)).toBe('maria kos');
  });
});

describe('a query does not find', () => {
  test.each([
    ['E. A. T. Rost', 'Beatrice Rost'],
    ['कबीर', 'कुबेर'],
    ['か', 'が'],
    ['ハ', 'パ'],
    ['กา', 'กี'],
    ['ကာ', 'ကီ'],
    ['\u0301', 'Émile Zola'],
    ['\u0301', '\u0301'],
    ['\u200b', 'Émile Zola'],
    ['  ', 'Émile Zola'],
    ['mi zola', 'Émile Zola'],
    ['z', 'García Márquez'],
    ['J. R. Frost', 'Jane Major Frost'],
    ['?!', 'What is left?'],
    ['C++', 'C'],
    ['zola emil anna', 'Émile Zola'],
    ['annamaria', 'Anna Maria'],
    // Neither a code nor a word is in another one by chance.
    ['agh', 'Α'],
  ])('%j: %j', (query, text) => expect(finds(query, text)).toBe(false));
});

test('plain words take a shorter way to the same', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.stringMatching(/^[A-Za-z\d]{1,3}[,.:;!?]{0,2}$/).filter((word) => word !== ''),
        { minLength: 1, maxLength: 8 },
      ),
      // Two blanks take the longer way.
      (words) => expect(searchWords(words.join(' '))).toBe(searchWords(`${words.join('  ')}  `)),
    ),
  ));

test('words are there once, each after a sign, and in ASCII for the index', () => {
  expect(searchWords("Jean-Paul jean J'Accuse")).toMatch(
    /^ jeanpaul jean paul jaccuse j accuse(\/0[A-Z]+){2}$/,
  );
  expect(searchWords('J R R')).toBe(' jrr j r jr rr');
  expect(searchWords('Лев 紅')).toMatch(/^\/0(\d[A-Z]){3} лев\/0[A-Z]+$/);
  expect(searchWords('1917г')).toMatch(/^\/0(\d[A-Z]){5} 1917г$/);
  expect(searchWords('\u0301')).toBe('');
});

test('digits find no code', () => {
  for (const query of ['0', '5', '05', '00', '19175', '505'])
    expect([query, finds(query, '1917г. Лев 紅 ♥')]).toEqual([query, false]);
});

test('letters with the same code are different letters', () => {
  const [cyrillic, armenian] = ['џѡѣ', 'գեէ'] as const;
  const code = (text: string) => /\/0\w+/.exec(searchWords(text))?.[0];
  expect(code(cyrillic)).toBe(code(armenian));
  for (const letters of [1, 2, 3])
    expect([letters, finds(cyrillic.slice(0, letters), armenian)]).toEqual([letters, false]);
});

test('a code of a letter that is searched alone is in another text only at the same character', () => {
  const code = (codePoint: number) => searchWords(String.fromCodePoint(codePoint)).replace('/0', '');
  const characters = fc.integer({ min: 0x2e80, max: 0x31350 }).filter((codePoint) => {
    const character = String.fromCodePoint(codePoint);
    return foldText(character) === character && /\p{Script=Han}/u.test(character);
  });
  fc.assert(
    fc.property(characters, fc.array(characters, { maxLength: 4 }), (one, others) => {
      const text = others.map(code).join('');
      expect(code(one)).toMatch(/^(D[G-Z]{3}|E[G-Z]{4}|F[G-Z]{5})$/);
      expect(text.includes(code(one))).toBe(others.includes(one));
    }),
  );
});

describe('texts are sorted', () => {
  const sorted = (texts: string[]) =>
    texts.toSorted((one, other) => Buffer.compare(Buffer.from(sortKey(one)), Buffer.from(sortKey(other))));

  test('by the first letter or digit', () => {
    const texts = ['“Quoted”', '¿Qué?', '–dash', '’Salem', 'Apple', 'Zoo', '…and', '[1984]', '♥ Love', '(B)'];
    expect(sorted(texts)).toEqual([
      '[1984]',
      '…and',
      'Apple',
      '(B)',
      '–dash',
      '♥ Love',
      '¿Qué?',
      '“Quoted”',
      '’Salem',
      'Zoo',
    ]);
  });

  test('by the text as it stands, if they fold to the same', () => {
    expect(sorted(['’Salem', 'salem', 'Salem', '"Salem"', 'Salem’s Lot', 'Sálem'])).toEqual([
      '"Salem"',
      'Salem',
      'Sálem',
      'salem',
      '’Salem',
      'Salem’s Lot',
    ]);
  });

  test('by words: a shorter one first', () => {
    expect(sorted(['Newark', 'New York', 'New', 'New-York'])).toEqual([
      'New',
      'New York',
      'New-York',
      'Newark',
    ]);
  });

  test('by themselves, if they have neither letter nor digit', () => {
    expect(prefixKey('???')).toBe('???');
    expect(prefixKey('♥')).toBe('♥');
    expect(sortKey('???')).toBe('???\t???');
  });
});

test('a key for sorting fits an index, and a prefix of any length finds its text', () => {
  const text = '紅'.repeat(150) + '😀'.repeat(850);
  expect(Buffer.byteLength(sortKey(text))).toBeLessThan(2_000);
  for (const length of [1, 104, 200, 400]) {
    const korean = '한국어 소설'.repeat(100).slice(0, length);
    expect(sortKey('한국어 소설'.repeat(100)).startsWith(prefixKey(korean))).toBe(true);
  }
});

const letters = fc.constantFrom(
  ...'abcXYZéÅßæøłıİΑσςάЖйёאבّأحيकबीुใกาガか゛한국漢字👍🏻♥+#3٣²½ﬁ',
  ...[
    "'",
    '’',
    '-',
    '–',
    '.',
    '…',
    '·',
    '/',
    ' ',
    '\u00a0',
    '\u200b',
    '\u0301',
    '\u3099',
    '\u1161',
    '\u02bf',
  ],
);
const anyText = fc.oneof(
  fc.string({ unit: letters, maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);

test('folding again changes nothing', () =>
  fc.assert(
    fc.property(anyText, (text) => {
      const folded = foldText(text);
      expect(foldText(folded)).toBe(folded);
      expect(prefixKey(prefixKey(text))).toBe(prefixKey(text));
    }),
    { numRuns: 1_000 },
  ));

test('a text is found by itself, by each of its words, in either case and in every normal form', () =>
  fc.assert(
    fc.property(anyText, (text) => {
      fc.pre(searchWords(text) !== '');
      const queries = [
        text,
        foldText(text),
        text.normalize('NFC'),
        text.normalize('NFD'),
        text.replace(/['’\u02bf]/g, '"'),
        text.replace(/[-–]/g, '\u2212'),
        ...foldText(text)
          .split(/[\s\u2800]+/u)
          .filter((word) => queryWords(word).length > 0 && /[\p{L}\p{N}]/u.test(word)),
      ];
      // Casing of some letters is no way back: upper and lower case of the folded text.
      queries.push(foldText(text).toUpperCase());
      for (const query of queries) expect([query, text, finds(query, text)]).toEqual([query, text, true]);
      expect(sortKey(text).startsWith(prefixKey(text))).toBe(true);
    }),
    { numRuns: 1_000 },
  ));

test('a plain text takes a shorter way to the same', () =>
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
      expect(foldText(text)).toBe(foldText(`${text}\u200b`));
    }),
  ));

// In quadratic time, each of these would take minutes.
test.each([
  ['marks of two classes', 'a\u0301\u0323'],
  ['marks of two classes on a vowel', '\u0915\u0301\u0323'],
  ['soft hyphens', 'a\u00ad'],
  ['half-width marks between marks', '\u0915\u0301\uff9e'],
  ['spacing marks between marks', '\u0915\u0301\u309b'],
  ['forms with marks', '\u0915\ufe71\ufe7d'],
  ['joiners', 'a\u200d'],
  ['initials', 'a.'],
  ['initials and blanks', 'a '],
  ['blanks', ' '],
  ['punctuation', '-'],
  ['symbols', '+'],
  ['kana', 'か'],
  ['ligatures', '\ufdfa                 '],
])('100,000 characters of %s take linear time', (_, units) => {
  const [first = '', ...rest] = units;
  for (const text of [
    units.repeat(100_000 / units.length),
    first + rest.join('').repeat(rest.length > 0 ? 100_000 / rest.length : 0),
  ]) {
    searchWords(text);
    queryWords(text);
    sortKey(text);
  }
});
