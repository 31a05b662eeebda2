import fc from 'fast-check';
import { Client } from 'pg';
import { arrayLiteral } from '../../src/postgres/array-literal.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let client: Client;
beforeAll(async () => {
  database = await createDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

async function read(type: string, values: Parameters<typeof arrayLiteral>[0]): Promise<unknown> {
  const { rows } = await client.query<{ read: unknown }>(`select to_jsonb($1::${type}[]) as read`, [
    arrayLiteral(values),
  ]);
  return rows[0]?.read;
}

test('PostgreSQL reads the texts that were written', async () => {
  const special = fc.constantFrom('"', '\\', ',', '{', '}', ' ', 'null', 'NULL', '\n', "'", '💠');
  const texts = fc.array(
    fc.array(fc.oneof(special, fc.string({ unit: 'grapheme' }))).map((parts) => parts.join('')),
  );
  await fc.assert(
    fc.asyncProperty(texts, async (values) => {
      const storable = values.map((text) => text.replaceAll('\0', '').toWellFormed());
      expect(await read('text', storable)).toEqual(storable);
    }),
    { numRuns: 300 },
  );
  expect(await read('text', [null, 'null', '', ['a', 'b']])).toEqual([null, 'null', '', 'a,b']);
});

test('PostgreSQL reads numbers, times and truth', async () => {
  expect(await read('bigint', [1, -2n, null])).toEqual([1, -2, null]);
  expect(await read('text', [9_007_199_254_740_993n])).toEqual(['9007199254740993']);
  expect(await read('boolean', [true, false, null])).toEqual([true, false, null]);
  const time = new Date('2026-11-27T04:17:47.001Z');
  expect(await read('timestamptz', [time])).toEqual([expect.stringMatching(/^2026-11-2/)]);
  const { rows } = await client.query<{ time: Date }>('select ($1::timestamptz[])[1] as time', [
    arrayLiteral([time]),
  ]);
  expect(rows[0]?.time).toEqual(time);
});
