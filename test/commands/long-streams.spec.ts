import { randomUUID } from 'node:crypto';
import type { CommandContext } from '../../src/commands/command-context.js';
import { CommandHandling, StreamNotUnderstood, type Handling } from '../../src/commands/handle-command.js';
import type { IdempotencyKeys } from '../../src/commands/idempotency-keys.js';
import type { RecordedEvent, StreamRange } from '../../src/event-store/event-store.js';
import { MemoryEventStore } from '../../src/event-store/memory/memory-event-store.js';
import { newEvent } from '../support/events.js';

const LONG = 3_000;

interface Counted {
  readonly type: 'Counted';
  readonly data: { readonly n: number };
}

/** A stream that counts. The decision returns the state that it saw. */
const count = (stream: string): Handling<number, Counted> => ({
  id: stream,
  stream,
  initial: 0,
  evolve: (_, event) => event.data.n,
  flawOf: () => undefined,
  decide: (n) => [{ type: 'Counted', data: { n: n + 1 } }],
});

/** Counts the events that were read, and can lose the end of the log behind everybody's back. */
class Observed extends MemoryEventStore {
  read = 0;
  lost = 0;

  override async readStream(stream: string, range?: StreamRange): Promise<readonly RecordedEvent[]> {
    const all = await super.readStream(stream);
    const last = BigInt(all.length - this.lost);
    const { after = -1n } = range ?? {};
    const events = all.filter(({ revision }) => revision > after && revision < last);
    this.read += events.length;
    return events;
  }
}

const context = (): CommandContext => {
  const commandId = randomUUID();
  return { commandId, actor: 'clerk', correlationId: commandId };
};
const noKeys = {} as IdempotencyKeys;

async function longStream(store: Observed): Promise<string> {
  const stream = `thing-${randomUUID()}`;
  const events = Array.from({ length: LONG }, (_, n) => newEvent('Counted', { n: n + 1 }));
  await store.append(stream, 'no-stream', events);
  return stream;
}

test('a long stream is read once; later commands read what came since, by whomever', async () => {
  const store = new Observed();
  const [one, two] = [new CommandHandling(store, noKeys), new CommandHandling(store, noKeys)];
  const stream = await longStream(store);
  await one.handle(count(stream), context());
  await two.handle(count(stream), context());
  store.read = 0;
  for (const handling of [one, one, two, one, two])
    expect((await handling.handle(count(stream), context())).unchanged).toBe(false);
  expect(store.read).toBeLessThan(30);
  const last = (await store.readStream(stream)).at(-1);
  expect(last?.data).toEqual({ n: LONG + 7 });
});

test('a long stream whose end is gone is folded anew', async () => {
  const store = new Observed();
  const handling = new CommandHandling(store, noKeys);
  const stream = await longStream(store);
  await handling.handle(count(stream), context());
  store.lost = 5;
  expect(await handling.load(count(stream))).toBe(LONG - 4);
});

test('an event that can not be read is told of in the part that came since', async () => {
  const store = new Observed();
  const handling = new CommandHandling(store, noKeys);
  const stream = await longStream(store);
  const cautious = {
    ...count(stream),
    flawOf: ({ type }: { type: string }) => (type === 'Counted' ? undefined : 'unknown'),
  };
  await handling.handle(cautious, context());
  await store.append(stream, BigInt(LONG), [newEvent('Strange', {})]);
  for (let turn = 0; turn < 2; turn += 1)
    await expect(handling.handle(cautious, context())).rejects.toBeInstanceOf(StreamNotUnderstood);
});
