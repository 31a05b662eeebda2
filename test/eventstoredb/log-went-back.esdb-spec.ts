import { cpSync, renameSync, rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { EventStoreDBClient } from '@eventstore/db-client';
import { caughtUp } from '../support/catalogue.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { KillableServer, nodeCommand } from '../support/eventstoredb-server.js';
import { start, startService, type RunningService } from '../support/process.js';
import { send } from '../support/service.js';

// Skipped without EVENTSTOREDB_COMMAND: the data of a server that others may use is not exchanged.
const onNode = nodeCommand === undefined ? describe.skip : describe;

onNode('a server that comes back with other data', () => {
  let server: KillableServer;
  let database: TestDatabase;
  let service: RunningService;
  let env: Record<string, string>;
  beforeEach(async () => {
    server = await KillableServer.node(nodeCommand ?? '');
    database = await createDatabase();
    env = { DATABASE_URL: database.url, EVENTSTOREDB_URL: server.url };
    service = await startService(env);
  });
  afterEach(async () => {
    service.process.kill('SIGTERM');
    await service.ended;
    await server.drop();
    await database.drop();
  });

  const request = (method: string, path: string, options?: Parameters<typeof send>[2]) =>
    send(`${service.url}${path}`, method, options);
  const add = (name: string) => request('POST', '/authors', { body: { name } });
  const untilReady = async (status: number) => {
    while ((await request('GET', '/health/ready')).status !== status) await setTimeout(50);
  };
  const projection = async () => (await request('GET', '/projections')).body.items[0];

  test('an old backup is red until the tables are rebuilt', async () => {
    await add('Anna');
    await caughtUp({ request });
    await server.kill();
    cpSync(server.data, `${server.data}-backup`, { recursive: true });
    await server.start();
    while ((await add('Berta')).status !== 201);
    await caughtUp({ request });

    await server.kill();
    rmSync(server.data, { recursive: true });
    renameSync(`${server.data}-backup`, server.data);
    await server.start();
    while ((await projection()).error?.startsWith('the log went back or was replaced') !== true)
      await setTimeout(50);
    expect(await request('GET', '/health/ready')).toMatchObject({
      status: 503,
      body: {
        detail: 'The log of the event store went back or was replaced, so it does not match the tables.',
      },
    });
    const clara = await add('Clara');
    expect(clara.status).toBe(201);

    const rebuild = start('dist/src/cli.js', ['rebuild'], env);
    expect([await rebuild.ended, rebuild.output()]).toEqual([0, expect.any(String)]);
    await untilReady(200);
    const headers = { 'min-position': clara.body.position };
    const { body } = await request('GET', '/authors', { headers });
    expect(body.items.map(({ name }: { name: string }) => name)).toEqual(['Anna', 'Clara']);
  });

  test('an empty log takes no command, and the right one is followed again', async () => {
    const anna = await add('Anna');
    await caughtUp({ request });
    await server.kill();
    renameSync(server.data, `${server.data}-aside`);
    await server.start();
    let answer = await add('Berta');
    while (!answer.body.detail.startsWith('The log of the event store went back'))
      answer = await add('Berta');
    expect(answer.status).toBe(503);
    expect((await request('PATCH', `/authors/${anna.body.id}`, { body: { name: 'B' } })).status).toBe(503);
    await untilReady(503);
    expect(await streamsOf(server.url)).toEqual([]);

    await server.kill();
    rmSync(server.data, { recursive: true });
    renameSync(`${server.data}-aside`, server.data);
    await server.start();
    await untilReady(200);
    const clara = await add('Clara');
    expect(clara.status).toBe(201);
    const headers = { 'min-position': clara.body.position };
    expect((await request('GET', `/authors/${clara.body.id}`, { headers })).status).toBe(200);
    while ((await projection()).error !== null) await setTimeout(50);
  });
});

/** The streams on a server that aren't the server's own. */
async function streamsOf(url: string): Promise<string[]> {
  const client = EventStoreDBClient.connectionString(url);
  const streams = new Set<string>();
  for await (const { event } of client.readAll())
    if (event && !event.streamId.startsWith('$')) streams.add(event.streamId);
  await client.dispose();
  return [...streams];
}
