import { createDatabase, sql } from '../support/database.js';
import { start, startService } from '../support/process.js';

test('tables made from one log are never mixed with another', async () => {
  const other = await createDatabase();
  // Another log in the same database: what a restored event store would look like.
  await startAndStop({ DATABASE_URL: other.url });
  await sql(other.url, 'update event_store.log set id = gen_random_uuid()');
  const refused = start('dist/src/main.js', [], { PORT: '0', DATABASE_URL: other.url });
  expect(await refused.ended).toBe(1);
  expect(refused.output()).toContain('were made from another log');
  await startAndStop({ DATABASE_URL: other.url, CATALOGUE_SCHEMA: 'beside' });
  expect(await start('dist/src/cli.js', ['rebuild'], { DATABASE_URL: other.url }).ended).toBe(0);
  await startAndStop({ DATABASE_URL: other.url });
  await other.drop();
});

async function startAndStop(env: Record<string, string>): Promise<void> {
  const running = await startService(env);
  running.process.kill('SIGTERM');
  expect(await running.ended).toBe(0);
}
