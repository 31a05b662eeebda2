import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { createDatabase, sql, type TestDatabase } from '../support/database.js';
import { ownerUrlOf } from '../support/embedded.js';
import { start, startService, type Running } from '../support/process.js';
import { send } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// What becomes of a program that is told to stop, or whose output nobody reads.

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-interrupted-'));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CLI = 'dist/src/cli.js';
const SERVICE = 'dist/src/main.js';
type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

async function until(met: () => boolean): Promise<void> {
  while (!met()) await setTimeout(5);
}

/** As a shell tells how a program ended: a signal that nothing listens to yet ends it too. */
const codeOf = async (running: Running): Promise<number> => {
  const ended = await running.ended;
  return typeof ended === 'number' ? ended : 128 + (constants.signals[ended as Signal] ?? 0);
};

const withoutStack = expect.not.stringMatching(/\n\s+at /);

const lines = (from: number, count: number) =>
  Array.from(
    { length: count },
    (_, n) => `{"type":"author","key":"${from + n}","name":"N ${from + n}"}\n`,
  ).join('');

describe('on the embedded server', () => {
  const dataDir = () => join(folder, 'data');
  const env = () => ({ DATA_DIR: dataDir(), PORT: '0', LOG_LEVEL: 'error' });
  const pidFile = () => join(dataDir(), 'postgres', 'postmaster.pid');
  const filesIn = (path: string) => (existsSync(path) ? readdirSync(path) : []);
  const serverRuns = () => existsSync(pidFile());
  const statusOf = () => (serverRuns() ? (readFileSync(pidFile(), 'utf8').split('\n')[7] ?? '').trim() : '');

  const MOMENTS: [string, Signal, number, () => boolean][] = [
    [
      'while the server is set up',
      'SIGINT',
      130,
      () => filesIn(dataDir()).some((name) => /^postgres\./.test(name)),
    ],
    ['while the server starts', 'SIGHUP', 129, serverRuns],
    ['when the server is there', 'SIGTERM', 143, () => statusOf() === 'ready'],
  ];

  test.each(MOMENTS)(
    'the first command of all, stopped %s, leaves nothing running',
    async (_, signal, code, reached) => {
      const status = start(CLI, ['status'], env());
      await until(reached);
      status.process.kill(signal);
      expect([await codeOf(status), status.output()]).toEqual([code, withoutStack]);
      expect(serverRuns()).toBe(false);
    },
  );

  test('commands that are stopped at their work leave nothing running, and the next start works', async () => {
    writeFileSync(join(folder, 'some.ndjson'), lines(0, 2_000));
    const COMMANDS: [string[], (running: Running) => boolean, Signal, number][] = [
      [['import', '--results', '-'], ({ output }) => output().includes('"line":2000'), 'SIGINT', 130],
      [['import', '--results', join(folder, 'some.ndjson')], ({ output }) => output() !== '', 'SIGTERM', 143],
      [['rebuild'], () => statusOf() === 'ready', 'SIGHUP', 129],
      [['verify'], () => statusOf() === 'ready', 'SIGINT', 130],
      [
        ['transfer', '--from', 'embedded', '--to', 'esdb://127.0.0.1:1?tls=false'],
        () => statusOf() === 'ready',
        'SIGTERM',
        143,
      ],
    ];
    for (const [args, reached, signal, code] of COMMANDS) {
      const command = start(CLI, args, env());
      if (args.at(-1) === '-') command.process.stdin?.write(lines(0, 2_000));
      await until(() => reached(command) || command.process.exitCode !== null);
      command.process.kill(signal);
      expect([args[0], await codeOf(command), command.output()]).toEqual([args[0], code, withoutStack]);
      expect([args[0], serverRuns()]).toEqual([args[0], false]);
    }
    const status = start(CLI, ['status'], env());
    expect([await codeOf(status), status.output()]).toEqual([
      0,
      expect.stringContaining('catalogue: position'),
    ]);
    expect(serverRuns()).toBe(false);
  });

  test('a replay whose reader is slow or gone ends, and stops the server', async () => {
    const imported = start(CLI, ['import', '-'], env());
    imported.process.stdin?.end(lines(0, 3_000));
    expect(await codeOf(imported)).toBe(0);
    const gone = start(CLI, ['replay'], env());
    gone.process.stdout?.once('data', () => gone.process.stdout?.destroy());
    expect([await codeOf(gone), gone.output()]).toEqual([0, withoutStack]);
    expect(serverRuns()).toBe(false);
  });

  test.each<Signal>(['SIGINT', 'SIGTERM', 'SIGHUP'])(
    'the service, told to stop by %s, stops',
    async (signal) => {
      const starting = start(SERVICE, [], env());
      await until(serverRuns);
      starting.process.kill(signal);
      expect([await codeOf(starting), starting.output()]).toEqual([0, '']);
      expect(serverRuns()).toBe(false);
      const service = await startService(env());
      service.process.kill(signal);
      expect(await codeOf(service)).toBe(0);
      expect(serverRuns()).toBe(false);
    },
  );

  test('a process of the server is killed, and the service stopped at once: it stops, and starts again', async () => {
    for (let round = 0; round < 5; round += 1) {
      const service = await startService(env());
      const { status } = await send(`${service.url}/authors`, 'POST', { body: { name: `N ${round}` } });
      expect(status).toBe(201);
      const [backend] = await sql<{ pid: number }>(
        ownerUrlOf(dataDir()),
        `select pid from pg_stat_activity where query like '%append_events%' and pid <> pg_backend_pid()`,
      );
      process.kill(backend?.pid ?? 0, 'SIGKILL');
      // The server notices, ends its other processes, and recovers: a stop may come at any moment of that.
      await setTimeout(15 * round);
      service.process.kill('SIGTERM');
      expect(await codeOf(service)).toBe(0);
      expect(serverRuns()).toBe(false);
    }
    const service = await startService(env());
    const { body } = await send(`${service.url}/audit/events`, 'GET');
    expect(body.items).toHaveLength(5);
    service.process.kill('SIGTERM');
    expect(await codeOf(service)).toBe(0);
  });
});

describe('on a server of its own', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase();
  });
  afterEach(() => database.drop());
  const env = () => ({ DATABASE_URL: database.url });

  test('an import goes on when the reader of its results leaves', async () => {
    const good = 20_000;
    const file = join(folder, 'import.ndjson');
    writeFileSync(file, '{"type":"author"}\n'.repeat(1_000) + lines(0, good));
    const running = start(CLI, ['import', file], env());
    let said = '';
    running.process.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    running.process.stdout?.once('data', () => running.process.stdout?.destroy());
    expect([await codeOf(running), running.output()]).toEqual([1, withoutStack]);
    expect(said).toContain(`21000 lines`);
    expect(said).toContain(`${good} added, 0 changed, 0 unchanged, 1000 failed`);
    const [count] = await sql(database.url, 'select count(*)::integer as n from event_store.events');
    expect(count).toEqual({ n: good });
  });

  test.each([['status'], ['--help'], ['parked list'], ['verify'], ['rebuild']])(
    '%s is done, even if nobody reads what it says',
    async (command) => {
      const running = start(CLI, command.split(' '), env());
      running.process.stdout?.destroy();
      running.process.stderr?.destroy();
      expect(await codeOf(running)).toBe(0);
    },
  );

  test('a command that waits for another’s migration is stopped at once', async () => {
    const other = new Client({ connectionString: database.url });
    await other.connect();
    await other.query(`select pg_advisory_lock(hashtext('colophon migrate'))`);
    const migrating = start(CLI, ['migrate'], env());
    const waiting = `select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`;
    while ((await sql(database.url, waiting)).length === 0);
    migrating.process.kill('SIGTERM');
    expect([await codeOf(migrating), migrating.output()]).toEqual([143, 'colophon: stopped by SIGTERM\n']);
    await other.end();
  });

  test('a service whose database is frozen stops, and says what it could not close', async () => {
    const { hostname, port } = new URL(database.url);
    const proxy = await TcpProxy.to({ host: hostname, port: Number(port) });
    const service = await startService({ DATABASE_URL: proxy.through(database.url) });
    expect((await send(`${service.url}/authors`, 'POST', { body: { name: 'Kept' } })).status).toBe(201);
    proxy.freeze();
    service.process.kill('SIGTERM');
    const code = await codeOf(service);
    await proxy.close();
    expect([code, service.output()]).toEqual([
      1,
      expect.stringMatching(/\ncolophon: [\w ]+ did not close within 10 s\n$/),
    ]);
  });

  test('output that can’t be written is told in one line', async () => {
    const running = start('test/support/full-disk.mjs', [CLI, 'status'], env());
    expect([await codeOf(running), running.output()]).toEqual([
      1,
      expect.stringMatching(/^colophon: .*ENOSPC.*\n$/),
    ]);
  });

  test('a second signal ends the service at once', async () => {
    const service = await startService({ ...env(), SHUTDOWN_GRACE_MS: '600000' });
    // A request that never ends.
    const request = fetch(`${service.url}/imports`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: new ReadableStream({ start: (out) => out.enqueue(Buffer.from(lines(0, 1))) }),
      duplex: 'half',
    }).then(
      () => undefined,
      () => undefined,
    );
    while ((await send(`${service.url}/projections`, 'GET')).body.items[0].head === null);
    const closed = once(service.process, 'close').then(() => true);
    while (!(await Promise.race([closed, setTimeout(100).then(() => false)])))
      service.process.kill('SIGTERM');
    expect(await codeOf(service)).toBe(143);
    await request;
  });

  /** Lets a test make errors that nobody catches, in a process of its own. */
  const faulty = `--import=data:text/javascript,${encodeURIComponent(
    `process.on('SIGUSR2', () => { Promise.reject(new Error('nobody listens')); });
     process.on('SIGWINCH', () => { throw new Error('nobody catches'); });`,
  )}`;

  test('a rejected promise that nobody listens to is told, and the service goes on', async () => {
    const service = await startService({ ...env(), NODE_OPTIONS: faulty });
    for (const number of [1, 2]) {
      service.process.kill('SIGUSR2');
      await until(() => service.output().includes(`unhandled rejection, number ${number} `));
    }
    expect(service.output()).toContain('Error: nobody listens');
    expect((await send(`${service.url}/authors`, 'POST', { body: { name: 'Kept' } })).status).toBe(201);
    service.process.kill('SIGTERM');
    expect(await codeOf(service)).toBe(0);
  });

  test('an exception that nobody catches is told, and the service stops: requests under way are finished', async () => {
    const service = await startService({ ...env(), NODE_OPTIONS: faulty });
    let finish = () => {};
    const answer = fetch(`${service.url}/imports`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: new ReadableStream({
        start: (out) => {
          out.enqueue(Buffer.from(lines(0, 1)));
          finish = () => {
            out.enqueue(Buffer.from(lines(1, 1)));
            out.close();
          };
        },
      }),
      duplex: 'half',
    });
    while ((await send(`${service.url}/projections`, 'GET')).body.items[0].head === null);
    service.process.kill('SIGWINCH');
    await until(() => service.output().includes('nobody catches'));
    finish();
    expect((await (await answer).text()).trim().split('\n')).toHaveLength(2);
    expect(await codeOf(service)).toBe(1);
  });

  test('a command goes on after the one, and ends with the other', async () => {
    const rejected = start(CLI, ['import', '-'], { ...env(), NODE_OPTIONS: faulty });
    rejected.process.stdin?.write(lines(0, 1));
    const imported = async () =>
      (await sql<{ n: number }>(database.url, 'select count(*)::integer as n from event_store.events'))[0]?.n;
    while ((await imported()) !== 1);
    rejected.process.kill('SIGUSR2');
    await until(() => rejected.output().includes('unhandled rejection, number 1 '));
    rejected.process.stdin?.end(lines(1, 1));
    expect(await codeOf(rejected)).toBe(1);
    expect(await imported()).toBe(2);

    const thrown = start(CLI, ['import', '-'], { ...env(), NODE_OPTIONS: faulty });
    thrown.process.stdin?.write(lines(2, 1));
    while ((await imported()) !== 3);
    thrown.process.kill('SIGWINCH');
    expect(await codeOf(thrown)).toBe(1);
    expect(thrown.output().match(/nobody catches/g)).toHaveLength(1);
  });
});
