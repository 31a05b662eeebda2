import fc from 'fast-check';
import { AsOfTime, partsOf, TimesOfLog } from './as-of-time.js';

/** The number of events, of those recorded in these years, that a year includes. */
const included = (years: readonly number[], year: number): number => {
  const dateOf = (one: number) => new Date(Date.UTC(one, 0));
  const asOf = new AsOfTime(dateOf(year), dateOf(2026));
  years.forEach((one, index) => asOf.take({ position: BigInt(index + 1), recordedAt: dateOf(one) }));
  return Number(asOf.position ?? 0n);
};

test('a time includes what was recorded by then', () => {
  const years = [2001, 2002, 2002, 2004];
  expect([2000, 2001, 2002, 2003, 2004, 2026].map((year) => included(years, year))).toEqual([
    0, 1, 3, 3, 4, 4,
  ]);
  expect(included([], 2026)).toBe(0);
});

test('a clock that ran years ahead hides nothing that was recorded before and after', () => {
  expect(included([2031, 2024], 2026)).toBe(2);
  expect(included([2031, 2031, 2031, 2024], 2025)).toBe(4);
  expect(included([2023, 2031], 2026)).toBe(1);
  const years = [2020, 2021, 2031, 2031, 2022, 2023];
  expect([2019, 2020, 2021, 2022, 2023, 2026].map((year) => included(years, year))).toEqual([
    0, 1, 2, 5, 6, 6,
  ]);
});

test('a clock that ran ahead, long ago, hides nothing either', () => {
  expect(included([2001, 2009, 2002, 2003, 2004], 2003)).toBe(4);
});

test('a clock that fell back years shows nothing before its time', () => {
  expect(included([2025, 2000, 2026], 2010)).toBe(0);
  const years = [2020, 2021, 2022, 2000, 2023];
  expect([1999, 2010, 2020, 2021, 2022, 2023].map((year) => included(years, year))).toEqual([
    0, 0, 1, 2, 4, 5,
  ]);
});

test('the parts of a log, remembered, give what all of its events give, also after more were added or it was replaced', async () => {
  const time = fc.integer({ min: 0, max: 40 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(time, { maxLength: 30 }), { minLength: 1, maxLength: 4 }),
      fc.array(time, { minLength: 1, maxLength: 30 }),
      time,
      async (additions, other, asked) => {
        let name = 'one';
        let log: { id: string; position: bigint; recordedAt: Date }[] = [];
        const add = (times: readonly number[]) => {
          for (const one of times) {
            const position = BigInt(log.length + 1);
            log.push({ id: `${name} ${position}`, position, recordedAt: new Date(one * 1_000) });
          }
        };
        async function* pages(after = 0n, to = BigInt(log.length)) {
          for (let start = Number(after); start < to; start += 4)
            yield log.slice(start, Math.min(start + 4, Number(to)));
        }
        const times = new TimesOfLog({
          parts: (after) => partsOf(pages(after)),
          times: pages,
          holds: async (position, id) => log[Number(position) - 1]?.id === id,
        });
        const check = async () => {
          const expected = new AsOfTime(new Date(asked * 1_000));
          for (const event of log) expected.take(event);
          expect(await times.positionAt(new Date(asked * 1_000))).toBe(expected.position);
        };
        for (const addition of additions) {
          add(addition);
          await check();
        }
        name = 'two';
        log = [];
        add(other);
        await check();
      },
    ),
  );
});
