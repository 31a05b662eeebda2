import { randomUUID } from 'node:crypto';
import { SpanStatusCode, trace, context } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import type { CommandBus } from '@nestjs/cqrs';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import type { FastifyInstance } from 'fastify';
import { changes } from '../../projections/changes/changes.projection.js';
import { Projector } from '../../projections/projector.js';
import { AddAuthor, AddAuthorHandler } from '../../src/authors/add-author.js';
import { Authors } from '../../src/authors/authors.js';
import { Books } from '../../src/books/books.js';
import { Commands } from '../../src/commands/commands.js';
import { CommandHandling } from '../../src/commands/handle-command.js';
import type { IdempotencyKeys } from '../../src/commands/idempotency-keys.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PositionTokens } from '../../src/event-store/position-token.js';
import { inSpan, isTracing, linksTo, MOST_LINKS, readTraceParent } from '../../src/event-store/spans.js';
import { controlAccess } from '../../src/http/access.js';
import { readContext } from '../../src/http/request-context.js';
import { Schemas } from '../../src/http/schemas.js';
import { createAdapter } from '../../src/http/server.js';
import { Importer } from '../../src/imports/importer.js';
import { createPool } from '../../src/postgres/database.js';
import { createDatabase } from '../support/database.js';
import { newEvent, newStream } from '../support/events.js';
import { send } from '../support/service.js';

test('without an SDK, work runs by itself, and nobody asks what its span would tell', async () => {
  expect(isTracing()).toBe(false);
  const options = () => {
    throw new Error('asked');
  };
  expect(await inSpan('work', options, async (span) => span ?? 'done')).toBe('done');
});

describe('with an SDK', () => {
  const exporter = new InMemorySpanExporter();
  let store: MemoryEventStore;
  let fastify: FastifyInstance;
  let url: string;
  beforeAll(async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    );
    store = new MemoryEventStore();
    const handling = new CommandHandling(store, {} as IdempotencyKeys);
    const authors = new Authors(handling);
    const handler = new AddAuthorHandler(authors);
    const bus = { execute: (command: AddAuthor) => handler.execute(command) };
    const commands = new Commands(bus as unknown as CommandBus);
    const schemas = new Schemas(100, new PositionTokens(await store.logId()));
    const importer = new Importer(authors, new Books(handling, authors), schemas);
    const names = { host: 'localhost', allowedHosts: [], allowedOrigins: [], trustedProxies: [] };
    const limits = {
      maxBodyBytes: 10_000,
      bodyTimeoutMs: 10_000,
      requestsPerSubject: 0,
      requestsPerAddress: 0,
    };
    const adapter = await createAdapter({ ...names, ...limits, tls: undefined });
    fastify = adapter.getInstance<FastifyInstance>();
    controlAccess(fastify, undefined);
    fastify.post('/authors/:id', { config: { access: 'write' } }, async (request) => {
      const { id } = request.params as { id: string };
      const { name } = request.body as { name: string };
      const { id: added } = await commands.execute(new AddAuthor(id, name, readContext(request)));
      return { added };
    });
    fastify.post('/imports', { config: { access: 'write' } }, async (request) => {
      const lines = async function* () {
        for (const key of [1, 2, 3])
          yield Buffer.from(`${JSON.stringify({ type: 'author', key: `${key}`, name: 'A' })}\n`);
      };
      const results = [];
      for await (const { status } of importer.run(lines(), readContext(request))) results.push(status);
      return results;
    });
    url = await fastify.listen({ port: 0, host: '127.0.0.1' });
  });
  beforeEach(() => exporter.reset());
  afterAll(() => fastify.close());

  const post = (path: string, headers: Record<string, string> = {}) =>
    send(`${url}${path}`, 'POST', { headers, body: { name: 'A' } });

  /** The spans with these names; waits until there are as many. */
  async function ended(...names: string[]): Promise<ReadableSpan[]> {
    for (;;) {
      const spans = exporter.getFinishedSpans();
      const found = names.map((name) => spans.find((span) => span.name === name));
      if (found.every((span) => span !== undefined)) return found;
      await new Promise((again) => setTimeout(again, 5));
    }
  }
  const parentOf = (span?: ReadableSpan) => span?.parentSpanContext?.spanId;
  const idOf = (span?: ReadableSpan) => span?.spanContext().spanId;
  const stored = async (id: string) => (await store.readStream(`author-${id}`))[0]?.metadata.traceParent;

  test('request, command and append are one trace, and the event has the trace parent of the request', async () => {
    const id = randomUUID();
    expect((await post(`/authors/${id}`, { 'x-request-id': 'r-1' })).status).toBe(200);
    const [request, command, append] = await ended('POST /authors/:id', 'AddAuthor', 'append');
    expect([parentOf(request), parentOf(command), parentOf(append)]).toEqual([
      undefined,
      idOf(request),
      idOf(command),
    ]);
    expect(request?.attributes).toEqual({
      'http.request.method': 'POST',
      'http.route': '/authors/:id',
      'http.response.status_code': 200,
      'colophon.request_id': 'r-1',
    });
    const traceParent = await stored(id);
    expect(readTraceParent(traceParent)).toMatchObject({
      traceId: append?.spanContext().traceId,
      spanId: idOf(request),
    });
  });

  const TRACE = '0af7651916cd43dd8448eb211c80319c';
  const PARENT = `00-${TRACE}-b7ad6b7169203331-01`;

  test('a caller’s trace goes on, and the event has the caller’s trace parent', async () => {
    const id = randomUUID();
    await post(`/authors/${id}`, { traceparent: PARENT, tracestate: 'vendor=1' });
    const [request, append] = await ended('POST /authors/:id', 'append');
    expect([request, append].map((span) => span?.spanContext().traceId)).toEqual([TRACE, TRACE]);
    expect(request?.spanContext().traceState?.get('vendor')).toBe('1');
    expect(parentOf(request)).toBe('b7ad6b7169203331');
    expect(await stored(id)).toBe(PARENT);
  });

  test('a span tells the kind of an error, and not what the error says', async () => {
    const id = randomUUID();
    await post(`/authors/${id}`);
    await ended('POST /authors/:id');
    exporter.reset();
    expect((await post(`/authors/${id}`)).status).toBe(500);
    const [request, command] = await ended('POST /authors/:id', 'AddAuthor');
    expect(command).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'author-already-exists' },
      events: [],
    });
    expect(request?.status).toEqual({ code: SpanStatusCode.ERROR });
  });

  test('work that was given up is no error', async () => {
    const give = (up: boolean) =>
      inSpan(
        'given up',
        () => ({}),
        () => Promise.reject(new TypeError('up')),
        () => !up,
      );
    await expect(give(true)).rejects.toThrow('up');
    await expect(give(false)).rejects.toThrow('up');
    const spans = exporter.getFinishedSpans().filter(({ name }) => name === 'given up');
    expect(spans.map(({ status }) => status.code)).toEqual([SpanStatusCode.UNSET, SpanStatusCode.ERROR]);
    expect(spans.map(({ attributes }) => attributes['error.type'])).toEqual(['TypeError', 'TypeError']);
  });

  test('an import is one span, however many lines it has', async () => {
    expect((await post('/imports')).body).toEqual(['added', 'added', 'added']);
    await ended('POST /imports');
    expect(exporter.getFinishedSpans().length).toBe(1);
  });

  test('a batch of a projection links to the traces of its events', async () => {
    const database = await createDatabase();
    const pool = createPool(database.url);
    const log = new MemoryEventStore();
    const event = newEvent();
    const traced = { ...event, metadata: { ...event.metadata, traceParent: PARENT } };
    const { position } = await log.append(newStream(), 'no-stream', [traced, newEvent()]);
    const projector = new Projector(changes, log, pool, { connectionString: database.url });
    await projector.start();
    expect(await projector.reached(position, 30_000)).toBe(true);
    const [batch] = await ended('project changes');
    expect(batch?.links.map(({ context: { traceId } }) => traceId)).toEqual([TRACE]);
    expect(batch?.attributes).toEqual({ 'colophon.projection': 'changes', 'colophon.events': 2 });
    expect(batch?.spanContext().traceId).not.toBe(TRACE);
    await projector.close();
    await pool.end();
    await database.drop();
  });

  test('a span has a bounded number of links, one for each trace', () => {
    const parent = (n: number) => `00-${n.toString(16).padStart(32, '0')}-00000000000000ff-00`;
    const events = Array.from({ length: 3 * MOST_LINKS }, (_, n) => ({
      metadata: { traceParent: parent(1 + Math.floor(n / 2)) },
    }));
    const links = linksTo([{ metadata: {} }, ...events]);
    expect(new Set(links.map((link) => link.context.traceId)).size).toBe(links.length);
    expect(links.length).toBe(MOST_LINKS);
  });

  test.each([
    undefined,
    '00',
    `ff-${TRACE}-b7ad6b7169203331-01`,
    `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
  ])('%s is no trace parent', (text) => {
    expect(readTraceParent(text)).toBeUndefined();
  });
});
