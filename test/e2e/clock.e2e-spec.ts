import { createDatabase, sql } from '../support/database.js';
import { start, startService } from '../support/process.js';
import { send } from '../support/service.js';

test('after a clock that ran ahead, times are right again, and the start tells of it', async () => {
  const database = await createDatabase();
  const env = { DATABASE_URL: database.url, LOG_LEVEL: 'warn' };
  const add = async (url: string, name: string) => {
    const { body } = await send(`${url}/authors`, 'POST', { body: { name } });
    const { events } = (await send(`${url}/audit/authors/${body.id}`, 'GET')).body;
    return { id: body.id as string, recordedAt: events[0].recordedAt as string };
  };
  const first = await startService(env);
  const early = await add(first.url, 'Early');
  expect(first.output()).not.toContain('the clock says');
  first.process.kill('SIGTERM');
  await first.ended;
  await sql(database.url, `update event_store.events set recorded_at = recorded_at + interval '5 years'`);

  const second = await startService(env);
  while (!second.output().includes('the clock says')) await new Promise(setImmediate);
  const late = await add(second.url, 'Late');
  // Both times are what the clock said. The position gives the order.
  const { items } = (await send(`${second.url}/audit/events`, 'GET')).body;
  expect(items).toMatchObject([{ data: { name: 'Early' } }, { data: { name: 'Late' } }]);
  expect(items[0].recordedAt > items[1].recordedAt).toBe(true);
  const asOf = `asOf=${late.recordedAt}`;
  expect(await send(`${second.url}/authors/${late.id}?${asOf}`, 'GET')).toMatchObject({
    status: 200,
    body: { name: 'Late', createdAt: late.recordedAt },
  });
  // A time is one place in the log, for what the wrong clock dated too: tables as of that time show the same.
  expect((await send(`${second.url}/authors/${early.id}?${asOf}`, 'GET')).body).toMatchObject({
    name: 'Early',
  });
  // A change of what the wrong clock dated is found by its own time.
  await send(`${second.url}/authors/${early.id}`, 'PATCH', { body: { name: 'Renamed' } });
  const { events } = (await send(`${second.url}/audit/authors/${early.id}`, 'GET')).body;
  const renamed = await send(`${second.url}/authors/${early.id}?asOf=${events[1].recordedAt}`, 'GET');
  expect(renamed).toMatchObject({ status: 200, body: { name: 'Renamed' } });
  second.process.kill('SIGTERM');
  await second.ended;

  const built = start(
    'dist/src/cli.js',
    ['rebuild', '--as-of', late.recordedAt, '--schema', 'that_time'],
    env,
  );
  expect(await built.ended).toBe(0);
  const names = await sql<{ name: string }>(database.url, 'select name from that_time.authors order by name');
  expect(names.map(({ name }) => name)).toEqual(['Early', 'Late']);
  await database.drop();
});
