import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, serverUrl, sql } from '../support/database.js';
import { ownerUrlOf, printedUrl } from '../support/embedded.js';
import { environment, ROOT, start, startService, type RunningService } from '../support/process.js';
import { send } from '../support/service.js';

let folder: string;
let running: RunningService | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'colophon-start-'));
  // Where root runs the tests, the embedded server runs as another user, who must get in.
  chmodSync(folder, 0o755);
});
afterEach(async () => {
  running?.process.kill('SIGTERM');
  await running?.ended;
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const dataDir = () => join(folder, 'data');
const up = async (env: Record<string, string> = {}) => {
  running = await startService({ DATA_DIR: dataDir(), ...env });
  return running;
};
const serverPid = () => {
  const file = join(dataDir(), 'postgres', 'postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
};
const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    // Where its parent is slow to bury it, a process that ended is still listed.
    const state = `/proc/${pid}/stat`;
    return !existsSync(state) || !/\) Z/.test(readFileSync(state, 'utf8'));
  } catch {
    return false;
  }
};
const addAuthor = async (service: RunningService, name: string) =>
  (await send(`${service.url}/authors`, 'POST', { body: { name } })).status;
const names = async (service: RunningService) => {
  await caughtUp({
    request: (method, path, options) => send(`${service.url}${path}`, method, options),
  });
  const { body } = await send(`${service.url}/authors`, 'GET');
  return body.items.map((item: any) => item.name) as string[];
};

/** One line, and a code that is not zero. */
async function failsWith(env: Record<string, string>, message: RegExp): Promise<void> {
  const failed = start('dist/src/main.js', [], { PORT: '0', DATA_DIR: dataDir(), ...env });
  expect(await failed.ended).toBe(1);
  expect(failed.output().trimEnd().split('\n')).toEqual([expect.stringMatching(message)]);
}

describe('on the embedded default', () => {
  test('it starts with nothing, keeps its data, and leaves nothing running', async () => {
    const first = await up();
    expect(await addAuthor(first, 'Kept')).toBe(201);
    const database = printedUrl(first);
    await names(first);
    expect(await sql(database, 'select name from catalogue.authors')).toEqual([{ name: 'Kept' }]);
    const pid = serverPid() ?? 0;
    first.process.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(alive(pid)).toBe(false);

    const second = await up();
    expect(await names(second)).toEqual(['Kept']);
    // The SQL clients' address stays the same.
    expect(second.output()).toContain(database);
  });

  test('killed, it starts again beside the server it left behind', async () => {
    const first = await up();
    await addAuthor(first, 'Kept');
    const pid = serverPid() ?? 0;
    first.process.kill('SIGKILL');
    await first.ended;
    expect(alive(pid)).toBe(true);
    const second = await up();
    expect(await names(second)).toEqual(['Kept']);
    expect(serverPid()).toBe(pid);
    second.process.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    expect(alive(pid)).toBe(false);
  });

  test('killed with its server, it starts again on the same data', async () => {
    const first = await up();
    await addAuthor(first, 'Kept');
    process.kill(serverPid() ?? 0, 'SIGKILL');
    first.process.kill('SIGKILL');
    await first.ended;
    expect(await names(await up())).toEqual(['Kept']);
  });

  test('two that start at once on what a crash left both serve', async () => {
    const first = await up();
    await addAuthor(first, 'Kept');
    process.kill(serverPid() ?? 0, 'SIGKILL');
    first.process.kill('SIGKILL');
    await first.ended;
    const [one, two] = await Promise.all([up(), startService({ DATA_DIR: dataDir() })]);
    expect(await names(one)).toEqual(['Kept']);
    expect(await names(two)).toEqual(['Kept']);
    two.process.kill('SIGTERM');
    expect(await two.ended).toBe(0);
  });

  test('a server that does not finish its stop is ended, and started again', async () => {
    const first = await up();
    await addAuthor(first, 'Kept');
    const url = printedUrl(first);
    first.process.kill('SIGKILL');
    await first.ended;
    const pid = serverPid() ?? 0;
    const guest = new Client({ connectionString: url });
    guest.on('error', () => undefined);
    await guest.connect();
    // Takes no more connections, and waits for the guest to leave.
    process.kill(pid, 'SIGTERM');
    expect(await names(await up())).toEqual(['Kept']);
    expect(serverPid()).not.toBe(pid);
    await guest.end().catch(() => undefined);
  });

  test('when only its server is killed, it starts another and goes on', async () => {
    const service = await up();
    await addAuthor(service, 'Before');
    const pid = serverPid() ?? 0;
    process.kill(pid, 'SIGKILL');
    let status = 0;
    while (status !== 201) {
      status = await addAuthor(service, 'After');
      expect([201, 503]).toContain(status);
    }
    expect(await names(service)).toEqual(['After', 'Before']);
    expect(serverPid()).not.toBe(pid);
  });

  test('when a process of its server is killed, it goes on', async () => {
    const service = await up();
    await addAuthor(service, 'Before');
    const [backend] = await sql<{ pid: number }>(
      ownerUrlOf(dataDir()),
      `select pid from pg_stat_activity where query like '%append_events%' and pid <> pg_backend_pid()`,
    );
    process.kill(backend?.pid ?? 0, 'SIGKILL');
    let status = 0;
    while (status !== 201) status = await addAuthor(service, 'After');
    expect(await names(service)).toEqual(['After', 'Before']);
  });

  test('two services share one folder, and the last to leave stops the server', async () => {
    const first = await up();
    const second = await startService({ DATA_DIR: dataDir() });
    await addAuthor(first, 'From the first');
    await addAuthor(second, 'From the second');
    expect(await names(first)).toEqual(['From the first', 'From the second']);
    expect(await names(second)).toEqual(['From the first', 'From the second']);
    const pid = serverPid() ?? 0;
    first.process.kill('SIGTERM');
    expect(await first.ended).toBe(0);
    expect(alive(pid)).toBe(true);
    expect(await addAuthor(second, 'Later')).toBe(201);
    expect(await names(second)).toHaveLength(3);
    second.process.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    expect(alive(pid)).toBe(false);
  });

  test('as `npm start`, it ends when npm is told to', async () => {
    // Without `prestart`, which would build anew under the other tests.
    const npm = spawn('npm', ['start', '--ignore-scripts'], {
      cwd: ROOT,
      env: environment({ DATA_DIR: dataDir(), PORT: '0' }),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    npm.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    while (!output.includes('serves at')) await once(npm.stdout, 'data');
    const pid = serverPid() ?? 0;
    // The service has it too, so it closes with the service.
    const ended = once(npm.stdout, 'close');
    npm.kill('SIGTERM');
    await ended;
    expect(alive(pid)).toBe(false);
  });

  test('a request under way is finished before it stops', async () => {
    const service = await up();
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    async function* body() {
      yield Buffer.from('{"type":"author","key":"1","name":"One"}\n');
      await held;
      yield Buffer.from('{"type":"author","key":"2","name":"Two"}\n');
    }
    const response = fetch(`${service.url}/imports`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: body() as unknown as ReadableStream,
      duplex: 'half',
    });
    // The first line is in: the request is under way.
    while ((await send(`${service.url}/projections`, 'GET')).body.items[0].head === null);
    service.process.kill('SIGTERM');
    await refusesConnections(service.url);
    release();
    const results = (await (await response).text()).trim().split('\n');
    expect(results.map((line) => (JSON.parse(line) as { status: string }).status)).toEqual([
      'added',
      'added',
    ]);
    expect(await service.ended).toBe(0);
  });
});

async function refusesConnections(url: string): Promise<void> {
  for (;;) {
    const open = await fetch(`${url}/health/live`, { headers: { connection: 'close' } }).then(
      () => true,
      () => false,
    );
    if (!open) return;
  }
}

describe('what it can not start with is told in one line', () => {
  test('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await failsWith({ PORT: String(port) }, new RegExp(`^colophon: 127.0.0.1:${port} is in use$`));
    other.close();
  });

  test('a folder that can not be one', async () => {
    writeFileSync(dataDir(), 'a file');
    await failsWith({}, /^colophon: DATA_DIR .*data can't be created: /);
    await failsWith(
      { DATA_DIR: '/dev/null/data' },
      /^colophon: DATA_DIR \/dev\/null\/data can't be created: /,
    );
    await failsWith(
      { DATA_DIR: '/proc/nope/data' },
      /^colophon: DATA_DIR \/proc\/nope\/data can't be created: /,
    );
  });

  test.each<[Record<string, string>, RegExp]>([
    [{ PORT: 'http' }, /^colophon: PORT: must be a whole number$/],
    [{ PORT: '70000' }, /^colophon: PORT: .*65535/],
    [{ LOG_LEVEL: 'loud' }, /^colophon: LOG_LEVEL: /],
    [{ ALLOWED_HOSTS: 'a.example, http://b.example' }, /^colophon: ALLOWED_HOSTS\.1: must be host names/],
    [{ ALLOWED_ORIGINS: 'books.example' }, /^colophon: ALLOWED_ORIGINS\.0: must be origins such as https:/],
    [{ BODY_TIMEOUT_MS: '0' }, /^colophon: BODY_TIMEOUT_MS: /],
    [{ DATABASE_URL: 'mysql://localhost' }, /^colophon: DATABASE_URL: must be a URL such as postgres:/],
    [{ DATABASE_URL: 'nonsense' }, /^colophon: DATABASE_URL: must be a URL such as postgres:/],
    [
      { DATABASE_URL: 'postgres://me:secret@127.0.0.1:1/db' },
      /^colophon: can't connect to PostgreSQL at postgres:\/\/me:\*\*\*@127.0.0.1:1\/db: .*ECONNREFUSED/,
    ],
    [{ HOST: '203.0.113.1', AUTH: 'none', DATA_DIR: '' }, /^colophon: can't listen on 203.0.113.1/],
  ])('%o', async (env, message) => {
    const database = await createDatabase();
    await failsWith(env['HOST'] ? { DATABASE_URL: database.url, ...env } : env, message);
    await database.drop();
  });

  test('a database that refuses the password, or is not there', async () => {
    const database = await createDatabase();
    const wrong = new URL(database.url);
    wrong.password = 'wrong';
    await failsWith(
      { DATABASE_URL: wrong.href },
      /^colophon: can't connect .*password authentication failed/,
    );
    const missing = new URL(database.url);
    missing.pathname = '/nowhere';
    await failsWith({ DATABASE_URL: missing.href }, /^colophon: can't connect .*"nowhere" does not exist/);
    await database.drop();
  });
});

test('a role that may not create schemas, and a database that is read-only, are told in one line', async () => {
  const database = await createDatabase();
  const role = `${database.name}_role`;
  const url = new URL(database.url);
  [url.username, url.password] = [role, 'secret'];
  await sql(database.url, 'drop schema event_store cascade', `create role ${role} login password 'secret'`);
  const denied = /^colophon: PostgreSQL refuses: permission denied for database .*grant create on database/;
  await failsWith({ DATABASE_URL: url.href }, denied);
  const status = start('dist/src/cli.js', ['status'], { DATABASE_URL: url.href });
  expect([await status.ended, status.output()]).toEqual([1, expect.stringMatching(denied)]);
  // The log is there, the tables are not.
  await sql(database.url, `grant create on database ${database.name} to ${role}`);
  const migrated = start('dist/src/cli.js', ['migrate'], { DATABASE_URL: url.href });
  expect([await migrated.ended, migrated.output()]).toEqual([0, '']);
  await sql(database.url, `alter database ${database.name} set default_transaction_read_only = on`);
  await failsWith({ DATABASE_URL: url.href }, /^colophon: PostgreSQL refuses: .* read-only transaction$/);
  await database.drop();
  await sql(serverUrl(), `drop role ${role}`);
});

test('a password is never printed', async () => {
  const database = await createDatabase();
  const { password } = new URL(database.url);
  await up({ DATABASE_URL: database.url });
  expect(running?.output()).toMatch(/SQL clients +postgres:\/\/[^:]+:\*\*\*@/);
  expect(running?.output()).not.toContain(password);
  running?.process.kill('SIGTERM');
  await running?.ended;
  const OTHERS = [
    { EVENTSTOREDB_URL: 'esdb://admin:se/cret@127.0.0.1:1?tls=false' },
    { EVENTSTOREDB_URL: 'esdb://admin:sec@ret@127.0.0.1:1?tls=false' },
    { EVENTSTOREDB_URL: 'esdb://admin:sec:ret@127.0.0.1:1?tls=false' },
    { EVENTSTOREDB_URL: 'esdb://admin:se cret@127.0.0.1:1?tls=false' },
    { EVENTSTOREDB_URL: 'esdb://admin:secret@127.0.0.1:1?tls=false&tlsVerifyCert=false' },
    { EVENTSTOREDB_URL: 'esdb://admin:secret@127.0.0.1:1?tls=false&tlsVerifyCert=maybe' },
    { EVENTSTOREDB_URL: 'esdb://admin:secret@127.0.0.1:1?tls=false&unknown=1' },
    { EVENTSTOREDB_URL: 'esdb://admin:secret@127.0.0.1:http' },
  ];
  for (const other of OTHERS) {
    const failed = start('dist/src/main.js', [], { PORT: '0', DATABASE_URL: database.url, ...other });
    expect(await failed.ended).toBe(1);
    expect(failed.output()).toMatch(
      /^colophon: can't use EventStoreDB at esdb:\/\/admin:\*\*\*@127.0.0.1:.*\n$/m,
    );
    expect(failed.output()).not.toMatch(/cret|sec@|:sec|\n\s+at /);
  }
  await failsWith(
    { DATABASE_URL: 'postgres://me:12/secret@h/db' },
    /^colophon: can't connect to PostgreSQL at postgres:\/\/me:\*\*\*@h\/db: /,
  );
  await database.drop();
});

test('the password of a database may be in a file', async () => {
  const database = await createDatabase();
  const { password } = new URL(database.url);
  const url = new URL(database.url);
  url.password = '';
  const file = join(folder, 'password');
  const env = { DATABASE_URL: url.href, DATABASE_PASSWORD_FILE: file };
  await failsWith(env, /^colophon: DATABASE_PASSWORD_FILE: ENOENT/);
  writeFileSync(file, `${decodeURIComponent(password)}\n`);
  expect(await addAuthor(await up(env), 'Kept')).toBe(201);
  expect(running?.output()).not.toContain(decodeURIComponent(password));
  running?.process.kill('SIGTERM');
  expect(await running?.ended).toBe(0);
  await database.drop();
});

test('the command line tells its version', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const told = start('dist/src/cli.js', ['--version'], {});
  expect([await told.ended, told.output()]).toEqual([0, `${version}\n`]);
});

test('services that start at once on an empty database do not get in each other’s way', async () => {
  const database = await createDatabase();
  await sql(database.url, 'drop schema event_store cascade');
  const services = await Promise.all(
    ['off', 'on', ''].map((METRICS) => startService({ DATABASE_URL: database.url, METRICS })),
  );
  // Without metrics, the route isn't there.
  const scrapes = services.map(async ({ url }) => (await fetch(`${url}/metrics`)).status);
  expect(await Promise.all(scrapes)).toEqual([404, 200, 200]);
  for (const [n, service] of services.entries()) expect(await addAuthor(service, `N ${n}`)).toBe(201);
  for (const service of services) {
    expect(await names(service)).toEqual(['N 0', 'N 1', 'N 2']);
    service.process.kill('SIGTERM');
    expect(await service.ended).toBe(0);
  }
  await database.drop();
});
