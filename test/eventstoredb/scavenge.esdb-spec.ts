import { setTimeout } from 'node:timers/promises';
import { EventStoreDBClient } from '@eventstore/db-client';
import { caughtUp, importLines } from '../support/catalogue.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { KillableServer, nodeCommand } from '../support/eventstoredb-server.js';
import { keepLast, softDelete, tombstone } from '../support/past-colophon.js';
import { start, startService, TELL_UNHEARD, type RunningService } from '../support/process.js';
import { send, type RequestOptions } from '../support/service.js';

// A scavenge makes deletions final: the log itself begins in the middle of streams, and has holes.

// Skipped without EVENTSTOREDB_COMMAND: a server that others may use is not scavenged.
const onNode = nodeCommand === undefined ? describe.skip : describe;

onNode('after a scavenge', () => {
  let server: KillableServer;
  let database: TestDatabase;
  let service: RunningService;
  let env: Record<string, string>;
  let ids: Record<string, string>;
  let book: string;
  /** Positions of events that the scavenge removes. The last one is also the checkpoint. */
  const removed: string[] = [];

  const request = (method: string, path: string, options?: RequestOptions) =>
    send(`${service.url}${path}`, method, options);
  const restart = async () => {
    service?.process.kill('SIGTERM');
    await service?.ended;
    service = await startService({ ...env, LOG_LEVEL: 'warn', ...TELL_UNHEARD });
  };
  const colophon = async (...args: string[]) => {
    const running = start('dist/src/cli.js', args, env);
    const code = await running.ended;
    expect(running.output()).not.toMatch(/^\s+at .*:\d+/m);
    return { code, output: running.output() };
  };
  const named = (output: string) =>
    [...output.matchAll(/^\{"stream":"(.*)","deleted":"(.*)"\}$/gm)]
      .map(([, stream, deleted]) => `${stream}: ${deleted}`)
      .toSorted();
  const DELETED = () =>
    [
      `author-${ids['soft']}: all`,
      `author-${ids['once']}: all`,
      `author-${ids['tomb']}: all`,
      `book-${book}: before revision 4`,
    ].toSorted();

  beforeAll(async () => {
    server = await KillableServer.node(nodeCommand ?? '');
    database = await createDatabase();
    env = { DATABASE_URL: database.url, EVENTSTOREDB_URL: server.url };
    await restart();
    const keys = ['kept', 'soft', 'once', 'tomb'];
    ids = await importLines(
      { request },
      keys.map((key) => ({ type: 'author', key, name: key })),
    );
    await request('PATCH', `/authors/${ids['soft']}`, { body: { name: 'soft, renamed' } });
    const added = await request('POST', '/books', {
      body: { title: 'T 0', authors: [{ authorId: ids['soft'] }] },
    });
    book = added.body.id;
    removed.push(added.body.position);
    for (let n = 1; n < 5; n += 1) await request('PATCH', `/books/${book}`, { body: { title: `T ${n}` } });
    removed.push(
      (await request('PATCH', `/authors/${ids['tomb']}`, { body: { name: 'tomb, renamed' } })).body.position,
    );
    await caughtUp({ request });
    await softDelete(env, `author-${ids['soft']}`);
    await softDelete(env, `author-${ids['once']}`);
    await tombstone(env, `author-${ids['tomb']}`);
    await keepLast(env, `book-${book}`, 2);
    await scavenge();
  });
  afterAll(async () => {
    service.process.kill('SIGTERM');
    expect([await service.ended, service.output()]).toEqual([0, expect.not.stringContaining('Error:')]);
    await server.drop();
    await database.drop();
  });

  /** Scavenges the server, and waits until the server has done so. */
  async function scavenge(): Promise<void> {
    const { scavengeId } = JSON.parse((await server.ask('POST', '/admin/scavenge', {})).text);
    const client = EventStoreDBClient.connectionString(server.url);
    for (let done = false; !done; await setTimeout(50))
      try {
        for await (const { event } of client.readStream(`$scavenges-${scavengeId}`))
          done ||= event?.type === '$scavengeCompleted';
      } catch {
        // The server has not begun yet.
      }
    const left: string[] = [];
    for await (const { event } of client.readAll())
      if (event?.streamId === `book-${book}` || event?.streamId === `author-${ids['tomb']}`)
        left.push(event.type);
    expect(left).toEqual(['BookRetitled', 'BookRetitled', '$streamDeleted']);
    await client.dispose();
  }

  async function works(): Promise<void> {
    const { body, status } = await request('POST', '/authors', { body: { name: 'New' } });
    expect(status).toBe(201);
    await caughtUp({ request });
    expect((await request('GET', `/authors/${body.id}`)).status).toBe(200);
    expect((await request('GET', '/health/ready')).status).toBe(200);
    expect((await request('GET', '/projections')).body.items[0]).toMatchObject({ error: null, lag: 0 });
  }

  test('the service goes on, also if the event of its checkpoint was removed', async () => {
    await restart();
    expect((await request('GET', '/projections')).body.items[0]).toMatchObject({
      position: removed.at(-1),
      error: null,
    });
    await works();
  });

  test('commands and history say what was deleted', async () => {
    for (const key of ['soft', 'once', 'tomb'])
      for (const [method, path, body] of [
        ['PATCH', `/authors/${ids[key]}`, { name: 'U' }],
        ['POST', '/authors', { id: ids[key], name: 'U' }],
        ['GET', `/audit/authors/${ids[key]}`, undefined],
        ['GET', `/audit/authors/${ids[key]}/row`, undefined],
      ] as const)
        expect(await request(method, path, { body })).toMatchObject({
          status: 410,
          body: { type: 'urn:colophon:problem:stream-deleted' },
        });
    expect(await request('PATCH', `/books/${book}`, { body: { title: 'U' } })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('events before it were deleted') },
    });
    const history = (await request('GET', `/audit/books/${book}`)).body;
    expect([history.deleted, history.events.length]).toEqual([4, 2]);
  });

  test('a reader of the log goes on after an event that was removed', async () => {
    const after = (await request('GET', `/audit/events?after=${removed[0]}`)).body.items;
    expect(after[0]).toMatchObject({ stream: `book-${book}`, revision: '4' });
    const replayed = await colophon('replay', '--after', removed[0] ?? '');
    expect(replayed).toMatchObject({ code: 0, output: expect.stringContaining(after[0].id) });
  });

  test('verify names the streams, and lists the rows that the log no longer explains', async () => {
    const { code, output } = await colophon('verify', 'catalogue');
    expect([code, named(output)]).toEqual([1, DELETED()]);
    const tablesIn = (text: string) => text.match(/(?<=^\{"table":")\w+/gm)?.toSorted();
    expect(tablesIn(output)).toEqual([
      'author_book',
      'authors',
      'authors',
      'authors_without_books',
      'book_words',
      'books',
    ]);
    const listed = await colophon('verify', 'changes', '--repair');
    expect([listed.code, named(listed.output)]).toEqual([1, DELETED()]);
    expect(new Set(tablesIn(listed.output))).toEqual(new Set(['concerned', 'events', 'times']));
    expect(await colophon('verify', '--repair')).toMatchObject({
      code: 1,
      output: expect.stringContaining('differ in parked events'),
    });
  });

  test('a transfer is refused, and names the stream', async () => {
    const other = await createDatabase();
    expect(await colophon('transfer', '--from', server.url, '--to', other.url)).toMatchObject({
      code: 1,
      output: expect.stringMatching(
        /^colophon: the source has no events of author-\S+ before revision 1: another program deleted them/m,
      ),
    });
    await other.drop();
  });

  test('a rebuild parks what stands after a hole, says why, and the parked events can be skipped', async () => {
    const refused = await colophon('rebuild');
    expect(refused).toMatchObject({
      code: 1,
      output: expect.stringMatching(/before revision \d were deleted/),
    });
    expect((await colophon('rebuild', '--allow-parked')).code).toBe(0);
    await works();
    const [soft, tail] = [`author-${ids['soft']}`, `book-${book}`];
    const { output } = await colophon('parked', 'list');
    expect(output).toContain(`${soft}: the events before revision 1 were deleted`);
    expect(output).toContain(`${tail}: the events before revision 4 were deleted`);
    // The server keeps the last event of a stream that was deleted softly.
    expect((await request('GET', `/authors/${ids['once']}`)).status).toBe(200);
    expect((await request('GET', `/authors/${ids['tomb']}`)).status).toBe(404);
    const verified = await colophon('verify');
    expect([verified.code, named(verified.output)]).toEqual([1, DELETED()]);
    expect(verified.output).toContain('the tables match');

    for (const command of ['show', 'retry'])
      expect(await colophon('parked', command, soft)).toEqual({
        code: 1,
        output: `colophon: The stream ${soft} was deleted from the event store by another program.\n`,
      });
    expect(await colophon('parked', 'retry', tail)).toMatchObject({
      code: 1,
      output: expect.stringContaining('the events before revision 4 were deleted or skipped'),
    });
    expect((await colophon('parked', 'skip', soft)).code).toBe(0);
    expect((await colophon('parked', 'skip', tail)).code).toBe(1);
    expect((await colophon('parked', 'skip', tail)).code).toBe(0);
    expect((await colophon('parked', 'list')).output).toBe('');
    await works();
  });

  test('tables that are followed from the beginning go by the same skips', async () => {
    const schema = 'from_the_beginning';
    env = { ...env, CATALOGUE_SCHEMA: schema };
    await restart();
    await works();
    expect((await colophon('parked', 'list')).output).toBe('');
    expect((await colophon('verify')).output).toContain('the tables match');
  });
});
