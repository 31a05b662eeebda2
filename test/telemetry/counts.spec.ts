import { setImmediate as soon } from 'node:timers/promises';
import type { CommandBus } from '@nestjs/cqrs';
import { Registry } from 'prom-client';
import { AddAuthor } from '../../src/authors/add-author.js';
import { Authors } from '../../src/authors/authors.js';
import { Books } from '../../src/books/books.js';
import { Commands } from '../../src/commands/commands.js';
import { CommandHandling } from '../../src/commands/handle-command.js';
import type { IdempotencyKeys } from '../../src/commands/idempotency-keys.js';
import { AuthorNotFound } from '../../src/authors/author.js';
import { AnotherLog, AppendTooLarge, EventStoreUnavailable } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { PositionTokens } from '../../src/event-store/position-token.js';
import { Problem, unavailable } from '../../src/http/problem.js';
import { Schemas } from '../../src/http/schemas.js';
import { Importer } from '../../src/imports/importer.js';
import { newId } from '../../src/ids.js';
import { countSignals } from '../../src/telemetry/counts.js';

const registry = new Registry();
const stop = countSignals(registry);
afterAll(stop);

/** Samples of a counter, by labels. */
async function counted(name: string): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));
  return Object.fromEntries(
    lines.map((line) => {
      const [, labels = '', value] = /\{(.*)\} (\d+)$/.exec(line) ?? [];
      return [labels, Number(value)];
    }),
  );
}

const context = { actor: 'clerk', correlationId: newId() };

test('every outcome that can be is shown from the start, so that the first failure is a rise', async () => {
  expect(await counted('colophon_appends_total')).toEqual({
    'outcome="written"': 0,
    'outcome="conflict"': 0,
    'outcome="refused"': 0,
    'outcome="unavailable"': 0,
  });
  expect(Object.values(await counted('colophon_import_lines_total'))).toEqual([0, 0, 0, 0]);
});

test.each([
  ['refused', new AuthorNotFound()],
  ['refused', new AppendTooLarge(1)],
  ['refused', new Problem(403, 'forbidden', 'No.')],
  ['unavailable', new EventStoreUnavailable(new Error('away'))],
  ['unavailable', AnotherLog.named('one', 'other')],
  ['unavailable', unavailable('Policies have not reached the end of the change yet.')],
  ['failed', new TypeError('undefined is not a function')],
])('a command counts as %s', async (outcome, error) => {
  const label = `command="AddAuthor",outcome="${outcome}"`;
  const before = (await counted('colophon_commands_total'))[label] ?? 0;
  const commands = new Commands({ execute: () => Promise.reject(error) } as unknown as CommandBus);
  const command = new AddAuthor(newId(), 'A', { ...context, commandId: newId() });
  await expect(commands.execute(command)).rejects.toBe(error);
  expect((await counted('colophon_commands_total'))[label]).toBe(before + 1);
  for (const other of ['done', 'unchanged', 'repeated', 'refused', 'unavailable', 'failed'])
    expect(await counted('colophon_commands_total')).toHaveProperty([
      `command="AddAuthor",outcome="${other}"`,
    ]);
});

test('lines that are under way when the reader of an import leaves are counted', async () => {
  const added = async () => (await counted('colophon_import_lines_total'))['outcome="added"'] ?? 0;
  const before = await added();
  let begun = 0;
  class Gathering extends MemoryEventStore {
    override async append(...given: Parameters<MemoryEventStore['append']>) {
      begun += 1;
      while (begun < 3) await soon();
      return super.append(...given);
    }
  }
  const handling = new CommandHandling(new Gathering(), {} as IdempotencyKeys);
  const authors = new Authors(handling);
  const schemas = new Schemas(100, new PositionTokens(await new MemoryEventStore().logId()));
  const importer = new Importer(authors, new Books(handling, authors), schemas);
  const input = async function* () {
    for (const key of ['1', '2', '3'])
      yield Buffer.from(`${JSON.stringify({ type: 'author', key, name: 'A' })}\n`);
  };
  for await (const { status } of importer.run(input(), context)) {
    expect(status).toBe('added');
    break;
  }
  expect(await added()).toBe(before + 3);
});
