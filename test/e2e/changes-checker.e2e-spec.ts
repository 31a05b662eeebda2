import { check, settled } from '../checker/check.js';
import { Callers } from '../checker/callers.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { startService, TELL_UNHEARD, type RunningService } from '../support/process.js';

// Some seconds of what `npm run faults` does for hours.
const CALLERS = 16;
const COMMANDS = 500;

let database: TestDatabase;
let service: RunningService;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(async () => {
  service.process.kill('SIGTERM');
  await service.ended;
  await database.drop();
});

test('removals, merges and reverts of many callers, with a kill in the middle, leave what the feed says', async () => {
  const start = (port = '0') => startService({ DATABASE_URL: database.url, PORT: port, ...TELL_UNHEARD });
  service = await start();
  const { url } = service;
  const work = new Callers(() => [url]);
  let killed: Promise<void> | undefined;
  const kill = async () => {
    service.process.kill('SIGKILL');
    await service.ended;
    service = await start(new URL(url).port);
  };
  await work.run(CALLERS, () => {
    if (work.counts.commands > COMMANDS / 2) killed ??= kill();
    return work.counts.commands < COMMANDS;
  });
  await killed;
  await settled(url);
  const { feed, wrong } = await check(url, database.url, work);
  expect([...work.wrong, ...wrong]).toEqual([]);
  expect(feed.events).toBeGreaterThan(COMMANDS / 4);
  for (const kind of ['merge', 'revert', 'remove author, unlink'])
    expect(work.counts.byKind[kind]).toBeGreaterThan(0);
  expect(service.output()).not.toContain('Error');
});
