import fc from 'fast-check';
import { Pool } from 'pg';
import { connectionOptions } from '../../src/postgres/connection-options.js';
import {
  json,
  jsonList,
  jsonObject,
  nullable,
  optional,
  plain,
  text,
  times,
} from '../../src/postgres/json-text.js';
import { serverUrl } from '../support/database.js';

const pool = new Pool(connectionOptions(serverUrl()));
afterAll(() => pool.end());

/** What the server writes for SQL with parameters. */
async function written(sql: string, ...values: unknown[]): Promise<string> {
  const { rows } = await pool.query<{ json: string }>(`select ${sql} as json`, values);
  return rows[0]?.json ?? '';
}

test('an object is written as JSON.stringify writes it, whatever its texts are', async () => {
  const sql = jsonObject({
    id: plain('$1::uuid'),
    "it's": text('$2::text'),
    rare: optional(text('$3::text')),
    revision: plain('$4::bigint'),
    at: times('$5::timestamptz', 'later', '$9::timestamptz'),
    stale: optional(json(`case when $6::boolean then 'true' end`)),
    position: json('$7::integer'),
    roles: json('to_json($8::text[])'),
    credit: nullable(text('$3::text')),
  });
  const texts = fc.string({ unit: 'binary' }).map((text) => text.toWellFormed().replaceAll('\0', ''));
  const moments = fc.date({ min: new Date(-6e13), max: new Date(2e14), noInvalidDate: true });
  await fc.assert(
    fc.asyncProperty(
      fc.uuid(),
      fc.oneof(texts, fc.constant('"\\\b\f\n\r\t\u0001\u001f\u007f\u2028/\u{1f600}')),
      fc.option(texts),
      fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      moments,
      fc.boolean(),
      fc.array(texts),
      fc.option(moments),
      async (id, name, rare, revision, at, stale, roles, another) => {
        const later = another ?? at;
        const values = [id, name, rare, revision.toString(), at.toISOString(), stale, 7, roles];
        expect(await written(sql, ...values, later.toISOString())).toBe(
          JSON.stringify({
            id,
            "it's": name,
            ...(rare !== null && { rare }),
            revision: revision.toString(),
            at,
            later,
            ...(stale && { stale }),
            position: 7,
            roles,
            credit: rare,
          }),
        );
      },
    ),
  );
});

test.each([0, 1, 2, 3])(
  'a list of %d items shows the first two, and says if there are more',
  async (count) => {
    const list = { name: 'list', item: jsonObject({ n: json('n') }), order: 'n' };
    const from = `generate_series(1, $1::integer) n where n > 0`;
    const sql = (optional: boolean) =>
      jsonObject({ id: json('7') }, [jsonList({ ...list, from }, { limit: 2, more: 'more', optional })]);
    const items = Array.from({ length: Math.min(count, 2) }, (_, n) => ({ n: n + 1 }));
    const more = count > 2 && { more: true };
    expect(await written(sql(false), count)).toBe(JSON.stringify({ id: 7, list: items, ...more }));
    expect(await written(sql(true), count)).toBe(
      JSON.stringify({ id: 7, ...(count > 0 && { list: items }), ...more }),
    );
  },
);
