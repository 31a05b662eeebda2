import { randomInt, randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { CommandContext } from '../../src/commands/command-context.js';
import { CommandHandling, IdempotencyKeyReused, type Handling } from '../../src/commands/handle-command.js';
import { DAYS_REMEMBERED, IdempotencyKeys, MIGRATIONS } from '../../src/commands/idempotency-keys.js';
import { DomainError } from '../../src/domain-error.js';
import {
  EventStoreUnavailable,
  type AppendResult,
  type ExpectedRevision,
  type NewEvent,
  type RecordedEvent,
  type StreamRange,
} from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { createPool } from '../../src/postgres/database.js';
import { migrate } from '../../src/postgres/migrate.js';
import { createDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await createDatabase();
  await migrate(database.url, undefined, MIGRATIONS);
  pool = createPool(database.url);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

class Locked extends DomainError {
  readonly kind = 'conflict';
  readonly rule = 'locked';
}

interface Set {
  readonly type: 'Set';
  readonly data: { readonly value: string };
}

interface Value {
  readonly status: 'live';
  readonly value: string;
}

/** A stream with one value. Nothing to do if the value is there already; refused while it is `locked`. */
const setTo = (stream: string, value: string): Handling<Value, Set> => ({
  id: stream,
  stream,
  initial: { status: 'live', value: '' },
  evolve: (_, event) => ({ status: 'live', value: event.data.value }),
  flawOf: () => undefined,
  decide: (current) => {
    if (current.value === 'locked') throw new Locked('locked');
    return current.value === value ? [] : [{ type: 'Set', data: { value } }];
  },
});

/** Fails as often as a store in trouble: before an append, or after it, when the caller can't know. */
class Troubled extends MemoryEventStore {
  trouble = 0;

  override async readStream(stream: string, range?: StreamRange): Promise<readonly RecordedEvent[]> {
    await pauses();
    return super.readStream(stream, range);
  }

  override async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<AppendResult> {
    await pauses();
    const fails = randomInt(100) < this.trouble;
    if (fails && randomInt(2) === 0) throw new EventStoreUnavailable(new Error('before'));
    const result = await super.append(stream, expected, events);
    if (fails) throw new EventStoreUnavailable(new Error('after'));
    return result;
  }
}

async function pauses(): Promise<void> {
  for (let turns = randomInt(4); turns > 0; turns -= 1) await new Promise(setImmediate);
}

const context = (over: Partial<CommandContext> = {}): CommandContext => {
  const commandId = randomUUID();
  return { commandId, actor: 'clerk', correlationId: commandId, ...over };
};
const keyed = (commandId = randomUUID(), digest = 'set to a') =>
  context({ commandId, correlationId: commandId, repeatable: true, digest });

const answerOf = (work: Promise<unknown>) =>
  work.catch((error: unknown) => {
    if (error instanceof DomainError) return error.rule;
    throw error;
  });

test('tries of one request in two processes, amid other changes and lost appends, have one answer and one effect', async () => {
  for (let round = 0; round < 150; round += 1) {
    const store = new Troubled();
    store.trouble = 20;
    const processes = [1, 2].map(() => new CommandHandling(store, new IdempotencyKeys(pool)));
    const stream = `thing-${randomUUID()}`;
    const others = new CommandHandling(store, new IdempotencyKeys(pool));
    const change = (value: string) => others.handle(setTo(stream, value), context()).catch(() => undefined);
    await change('b');
    const commandId = randomUUID();
    const tries = Array.from({ length: 6 }, async (_, index) => {
      await pauses();
      for (;;) {
        const handling = processes[index % 2] as CommandHandling;
        try {
          return await answerOf(handling.handle(setTo(stream, 'a'), keyed(commandId)));
        } catch (error) {
          // The caller can't know, and repeats the command.
          if (!(error instanceof EventStoreUnavailable)) throw error;
        }
      }
    });
    const changes = Promise.all(['a', 'b', 'locked', 'b', 'a', 'b'].map((value) => change(value)));
    const answers = await Promise.all(tries);
    await changes;
    answers.push(
      await answerOf((processes[0] as CommandHandling).handle(setTo(stream, 'a'), keyed(commandId))),
    );

    // Whether the answer was found in the log is for the handler of the command.
    const told = answers.map((answer) =>
      typeof answer === 'object' ? { ...answer, repeated: undefined } : answer,
    );
    for (const answer of told) expect(answer).toEqual(told[0]);
    const history = await store.readStream(stream);
    const effects = history.filter((event) => event.metadata.commandId === commandId);
    const [answer] = answers;
    expect(effects).toHaveLength(answer === 'locked' || (answer as { unchanged: boolean }).unchanged ? 0 : 1);
  }
});

test('a claim of a process that died before the append does not keep the repeat from writing', async () => {
  const store = new MemoryEventStore();
  const keys = new IdempotencyKeys(pool);
  const handling = new CommandHandling(store, keys);
  const stream = `thing-${randomUUID()}`;
  const repeat = keyed();
  await handling.handle(setTo(stream, 'b'), context());
  const { commandId, digest = '' } = repeat;
  expect(await keys.claim({ commandId, digest, revision: 0n })).toEqual({ outcome: 'claimed' });
  expect(await handling.handle(setTo(stream, 'a'), repeat)).toMatchObject({ revision: 1n, unchanged: false });
});

test('a key of one command is refused to another command, on whatever stream', async () => {
  const handling = new CommandHandling(new MemoryEventStore(), new IdempotencyKeys(pool));
  const first = keyed();
  const [one, two] = [`thing-${randomUUID()}`, `thing-${randomUUID()}`];
  await handling.handle(setTo(one, 'a'), first);
  for (const stream of [one, two])
    await expect(handling.handle(setTo(stream, 'b'), { ...first, digest: 'set to b' })).rejects.toThrow(
      IdempotencyKeyReused,
    );
});

test(`keys are forgotten after ${DAYS_REMEMBERED} days`, async () => {
  const keys = new IdempotencyKeys(pool);
  const [old, recent] = [randomUUID(), randomUUID()];
  for (const [id, days] of [
    [old, DAYS_REMEMBERED + 1],
    [recent, DAYS_REMEMBERED - 1],
  ])
    await pool.query(
      `insert into commands.idempotency_keys (command_id, digest, revision, claimed_at)
       values ($1, '', 0, now() - make_interval(days => $2))`,
      [id, days],
    );
  await keys.claim({ commandId: randomUUID(), digest: '', revision: 0n });
  const remembered = async () => {
    const ids = [old, recent];
    const { rows } = await pool.query<{ command_id: string }>(
      'select command_id from commands.idempotency_keys where command_id = any($1)',
      [ids],
    );
    return rows.map((row) => row.command_id);
  };
  while ((await remembered()).includes(old)) await new Promise(setImmediate);
  expect(await remembered()).toEqual([recent]);
});
