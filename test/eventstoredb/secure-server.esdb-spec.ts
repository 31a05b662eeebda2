import { randomUUID } from 'node:crypto';
import { binaryEvent, EventStoreDBClient, jsonEvent } from '@eventstore/db-client';
import { EventStoreDbEventStore } from '../../src/event-store/eventstoredb/eventstoredb-event-store.js';
import { EventStoreUnavailable, UserRefused } from '../../src/event-store/event-store.js';
import { caughtUp } from '../support/catalogue.js';
import { canMakeCertificates } from '../support/certificates.js';
import { allCommands } from '../support/command-line.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { newEvent, newStream } from '../support/events.js';
import { KillableServer, secureCommand } from '../support/eventstoredb-server.js';
import { start, startService, TELL_UNHEARD, type RunningService } from '../support/process.js';
import { send, type Answer, type RequestOptions } from '../support/service.js';
import { TcpProxy } from '../support/tcp-proxy.js';

// A server with TLS, users and permissions.

const missing =
  secureCommand === undefined
    ? 'EVENTSTOREDB_SECURE_COMMAND is not set'
    : canMakeCertificates()
      ? undefined
      : 'openssl is missing';
const onSecureServer = missing === undefined ? describe : describe.skip;

onSecureServer(`on a secure server${missing === undefined ? '' : `, skipped because ${missing}`}`, () => {
  const USER = 'plain';
  const PASSWORD = 'se/cret @Pa55';
  let server: KillableServer;
  let proxy: TcpProxy;
  let database: TestDatabase;
  let admin: EventStoreDBClient;
  /** Through the proxy. */
  let url: string;
  let started: RunningService | undefined;
  beforeAll(async () => {
    server = await KillableServer.secure(secureCommand ?? '');
    admin = EventStoreDBClient.connectionString(server.urlOf('admin', 'changeit'));
    proxy = await TcpProxy.to({ host: '127.0.0.1', port: server.port });
    url = server.urlOf(USER, PASSWORD, proxy.port);
    database = await createDatabase();
    const user = { loginName: USER, fullName: USER, groups: [], password: PASSWORD };
    // The server makes its own users a moment after it answers.
    while ((await server.ask('POST', '/users', user)).status !== 201);
  });
  afterAll(async () => {
    started?.process.kill('SIGKILL');
    await admin.dispose();
    await proxy.close();
    await server.drop();
    await database.drop();
  });

  const letReadAll = (...users: string[]) =>
    admin.setStreamMetadata('$all', { acl: { readRoles: ['$admins', ...users] } });
  /** Who may write to streams that have no rights of their own. */
  const letWrite = async (writers: string) => {
    const others = { $r: '$all', $d: '$all', $mr: '$all', $mw: '$all' };
    const system = { $r: '$admins', $w: '$admins', $d: '$admins', $mr: '$admins', $mw: '$admins' };
    const data = { $userStreamAcl: { ...others, $w: writers }, $systemStreamAcl: system };
    await admin.appendToStream('$settings', jsonEvent({ type: 'update-default-acl', data }));
  };
  const setPassword = async (newPassword: string) =>
    expect((await server.ask('POST', `/users/${USER}/command/reset-password`, { newPassword })).status).toBe(
      200,
    );

  const NO_READ = 'EventStoreDB does not allow the user to read the stream $all';
  const NO_WRITE = 'EventStoreDB does not allow the user to write to the stream author-';
  const NO_USER = 'EventStoreDB does not know the user, or the password is wrong';

  async function expectRefusal(
    program: string,
    args: readonly string[],
    to: string,
    why: string,
    more: Record<string, string> = {},
  ) {
    const env = { DATABASE_URL: database.url, EVENTSTOREDB_URL: to, PORT: '0', ...more };
    const running = start(program, args, env);
    running.process.stdin?.end();
    const code = await running.ended;
    const shown = to.replace(/:[^:@]*@/, ':***@');
    expect([program, args, code, running.output()]).toEqual([
      program,
      args,
      1,
      `colophon: can't use EventStoreDB at ${shown}: ${why}\n`,
    ]);
  }

  test('the service and every command refuse a user who may not read $all, and name the permission', async () => {
    const rest: Record<string, string[]> = {
      import: ['-'],
      revert: ['some-change'],
      'parked show': [newStream()],
      'parked retry': [newStream()],
      'parked skip': [newStream()],
      transfer: ['--from', 'embedded', '--to', url],
    };
    // Tokens are in the database alone.
    const commands = (await allCommands()).filter(([name]) => name !== 'token');
    await Promise.all([
      expectRefusal('dist/src/main.js', [], url, NO_READ),
      ...commands.map((words) =>
        expectRefusal('dist/src/cli.js', [...words, ...(rest[words.join(' ')] ?? [])], url, NO_READ),
      ),
    ]);
  });

  test('a user who may not write is refused if the log has no name yet', async () => {
    await letWrite('$admins');
    await expectRefusal(
      'dist/src/cli.js',
      ['status'],
      url,
      'EventStoreDB does not allow the user to write to the stream new-colophon-log',
      { EVENTSTOREDB_PREFIX: 'new-' },
    );
    await letWrite('$all');
  });

  test('a wrong password, a user nobody knows, and no user are refused, and no password is shown', async () => {
    const nobody = server.urlOf('nobody', PASSWORD);
    await Promise.all([
      expectRefusal('dist/src/main.js', [], server.urlOf(USER, 'wrong'), NO_USER),
      expectRefusal('dist/src/cli.js', ['status'], server.urlOf(USER, 'wrong'), NO_USER),
      expectRefusal('dist/src/cli.js', ['status'], nobody, NO_USER),
      expectRefusal(
        'dist/src/cli.js',
        ['status'],
        nobody.replace(/\/\/.*@/, '//'),
        NO_READ.replace('$all', 'colophon-log'),
      ),
    ]);
  });

  test('a permission or a password that is taken away is told, and a service goes on when it is given back', async () => {
    await letReadAll(USER);
    const service = (started = await startService({
      DATABASE_URL: database.url,
      EVENTSTOREDB_URL: url,
      LOG_LEVEL: 'warn',
      ...TELL_UNHEARD,
    }));
    const request = (method: string, path: string, options?: RequestOptions): Promise<Answer> =>
      send(`${service.url}${path}`, method, options);
    const add = () => request('POST', '/authors', { body: { name: 'Anna' } });
    const refused = { status: 503, body: { detail: expect.stringMatching(/refuses Colophon’s user/) } };
    const ready = async (status: number) => {
      for (;;) {
        const answer = await request('GET', '/health/ready');
        if (answer.status === status) return answer;
      }
    };
    /** An author is added and seen. */
    const works = async () => {
      await ready(200);
      const { body, status } = await add();
      expect(status).toBe(201);
      await caughtUp({ request });
      expect((await request('GET', `/authors/${body.id}`)).status).toBe(200);
    };
    await works();

    await letReadAll();
    // A subscription goes on until its connection breaks.
    proxy.cut();
    expect(await ready(503)).toMatchObject(refused);
    expect(await request('GET', '/audit/events')).toMatchObject(refused);
    expect(service.output()).toMatch(new RegExp(`stuck after position \\d+: ${NO_READ.replace('$', '\\$')}`));
    await letReadAll(USER);
    await works();

    await letWrite('$admins');
    expect(await add()).toMatchObject(refused);
    expect(await request('GET', '/health/ready')).toMatchObject(refused);
    expect(service.output()).toContain(NO_WRITE);
    await letWrite('$all');
    expect((await add()).status).toBe(201);
    await works();

    await setPassword('another');
    expect(await ready(503)).toMatchObject(refused);
    expect(await add()).toMatchObject(refused);
    expect(service.output()).toContain(NO_USER);
    await setPassword(PASSWORD);
    await works();

    service.process.kill('SIGTERM');
    expect([await service.ended, service.output()]).toEqual([0, expect.not.stringContaining('Error:')]);
    expect(service.output()).not.toMatch(/Pa55/);
  });

  /** Writes events as another program would. */
  async function others(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1)
      await admin.appendToStream(
        `noise-${randomUUID()}`,
        binaryEvent({ type: 'Noise', data: Buffer.alloc(900_000, 'x') }),
      );
  }

  test('over TLS too, only a server that sends nothing is taken for silent', async () => {
    await letReadAll(USER);
    const store = new EventStoreDbEventStore(url);
    const stream = newStream();
    await store.append(stream, 'no-stream', [newEvent('Happened', { name: 'x'.repeat(800_000) })]);
    // One event takes eight seconds.
    proxy.throttle(100_000);
    expect(await store.readStream(stream)).toHaveLength(1);
    proxy.pass();
    await others(60);
    let found = 0;
    const read = async () => {
      for await (const events of store.readAll()) found += events.length;
    };
    await Promise.all([others(60), read(), read(), read()]);
    expect(found).toBeGreaterThan(0);
    server.signal('SIGSTOP');
    await expect(store.readStream(stream)).rejects.toBeInstanceOf(EventStoreUnavailable);
    server.signal('SIGCONT');
    expect(await store.readStream(stream)).toHaveLength(1);
    await store.close();
  });

  test('a store whose user is refused says so to every caller', async () => {
    await letReadAll();
    const store = new EventStoreDbEventStore(url);
    await expect(store.logId()).rejects.toBeInstanceOf(UserRefused);
    await expect(store.head()).rejects.toBeInstanceOf(UserRefused);
    await store.close();
  });
});
