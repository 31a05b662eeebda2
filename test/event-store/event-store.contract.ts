import { randomUUID } from 'node:crypto';
import {
  AppendTooLarge,
  RevisionConflict,
  type AppendResult,
  type EventStore,
  type RecordedEvent,
  type StreamRange,
} from '../../src/event-store/event-store.js';
import { follow, newEvent as eventOf, newStream as streamOf, readLog } from '../support/events.js';

// Categories and types of the contract's own: no adapter knows which there are.
const newStream = (category = 'alpha') => streamOf(category);
const newEvent = (type = 'Happened', data?: object) => eventOf(type, data);

/**
 * What every event store does, whatever is beneath it. A log may be shared with other tests: every test keeps to its
 * own streams, and to what was appended after it began.
 */
export function eventStoreContract(open: () => Promise<EventStore>): void {
  let store: EventStore;
  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store.close());

  describe('append', () => {
    test('begins a stream where none is expected', async () => {
      const stream = newStream();
      const event = newEvent();
      const { revision, position } = await store.append(stream, 'no-stream', [event]);
      expect(revision).toBe(0n);
      expect(await store.readStream(stream)).toEqual([
        { ...event, stream, revision: 0n, position, recordedAt: expect.any(Date) },
      ]);
    });

    test('goes on where the stream is at the expected revision', async () => {
      const stream = newStream();
      const first = await store.append(stream, 'no-stream', [newEvent(), newEvent()]);
      const second = await store.append(stream, 1n, [newEvent()]);
      expect([first.revision, second.revision]).toEqual([1n, 2n]);
      expect(second.position > first.position).toBe(true);
    });

    test.each<[string, 'no-stream' | bigint, number, 'no-stream' | bigint]>([
      ['a stream is there and none is expected', 'no-stream', 2, 1n],
      ['no stream is there and one is expected', 0n, 0, 'no-stream'],
      ['the stream is further', 0n, 2, 1n],
      ['the stream is not as far', 5n, 2, 1n],
    ])('is refused where %s', async (_, expected, existing, actual) => {
      const stream = newStream();
      if (existing > 0)
        await store.append(
          stream,
          'no-stream',
          Array.from({ length: existing }, () => newEvent()),
        );
      const before = await store.readStream(stream);
      const refused = store.append(stream, expected, [newEvent(), newEvent()]);
      await expect(refused).rejects.toBeInstanceOf(RevisionConflict);
      await expect(refused).rejects.toMatchObject({ stream, expected, actual });
      expect(await store.readStream(stream)).toEqual(before);
    });

    test('of many events is seen whole or not at all, and the result is of the last', async () => {
      const stream = newStream();
      const events = Array.from({ length: 300 }, () => newEvent());
      const sizes = new Set<number>();
      let done = false;
      const reader = (async () => {
        while (!done) sizes.add((await store.readStream(stream)).length);
      })();
      const { revision, position } = await store.append(stream, 'no-stream', events);
      done = true;
      await reader;
      const recorded = await store.readStream(stream);
      expect(recorded.map((event) => event.id)).toEqual(events.map((event) => event.id));
      expect(recorded.at(-1)).toMatchObject({ revision, position });
      for (const size of sizes) expect([0, 300]).toContain(size);
    });

    test('with the same ids at the same place answers as the first time', async () => {
      const stream = newStream();
      const [first, second] = [[newEvent(), newEvent()], [newEvent()]];
      const original = await store.append(stream, 'no-stream', first);
      await store.append(stream, 1n, second);
      expect(await store.append(stream, 'no-stream', first)).toEqual(original);
      expect(await store.readStream(stream)).toHaveLength(3);
    });

    test('with other ids, or the same in another order, conflicts', async () => {
      const stream = newStream();
      const [a, b] = [newEvent(), newEvent()];
      await store.append(stream, 'no-stream', [a, b]);
      for (const events of [[b, a], [a, b, newEvent()], [b], [newEvent()]])
        await expect(store.append(stream, 'no-stream', events)).rejects.toBeInstanceOf(RevisionConflict);
    });

    test('of one stream by many at once is won by one', async () => {
      const stream = newStream();
      const race = await Promise.allSettled(
        Array.from({ length: 50 }, () => store.append(stream, 'no-stream', [newEvent()])),
      );
      expect(race.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
      for (const one of race)
        if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(RevisionConflict);
      expect(await store.readStream(stream)).toHaveLength(1);
    });

    test('keeps every character and number of data and metadata', async () => {
      const stream = newStream();
      const name = 'a\u0000"\\\n\u2028\ud83d\ude00 é e\u0301 \u202e';
      const event = newEvent('Happened', { name, nested: [{ n: 1.5e-7, empty: '', no: null }] });
      await store.append(stream, 'no-stream', [event]);
      const [recorded] = await store.readStream(stream);
      expect(recorded).toMatchObject(event);
    });

    test('takes an event of 1,000,000 bytes and refuses one over the limit', async () => {
      const stream = newStream();
      const large = newEvent('Happened', { name: 'x'.repeat(1_000_000) });
      await store.append(stream, 'no-stream', [large]);
      expect((await store.readStream(stream))[0]?.data).toEqual(large.data);
      const tooLarge = newEvent('Happened', { name: 'x'.repeat(1_048_576) });
      await expect(store.append(stream, 0n, [tooLarge])).rejects.toBeInstanceOf(AppendTooLarge);
    });

    test('of nothing is a mistake', async () => {
      await expect(store.append(newStream(), 'no-stream', [])).rejects.toBeInstanceOf(RangeError);
    });
  });

  describe('read', () => {
    test('an unknown stream has no events', async () => {
      expect(await store.readStream(newStream())).toEqual([]);
      expect(await store.readStream(newStream(), { after: 3n, limit: 2 })).toEqual([]);
    });

    test('a part of a stream', async () => {
      const stream = newStream();
      const events = Array.from({ length: 5 }, () => newEvent());
      await store.append(stream, 'no-stream', events);
      const revisions = async (range: StreamRange) =>
        (await store.readStream(stream, range)).map((event) => event.revision);
      expect(await revisions({ after: 1n })).toEqual([2n, 3n, 4n]);
      expect(await revisions({ limit: 2 })).toEqual([0n, 1n]);
      expect(await revisions({ after: -1n, limit: 9 })).toEqual([0n, 1n, 2n, 3n, 4n]);
      expect(await revisions({ after: 2n, limit: 1 })).toEqual([3n]);
      expect(await revisions({ after: 4n })).toEqual([]);
      expect(await revisions({ after: 40n, limit: 1 })).toEqual([]);
    });

    test('the log has everything after a position, in order, in either direction', async () => {
      const before = await store.head();
      const streams = [newStream(), newStream('beta'), newStream()];
      for (const stream of streams) await store.append(stream, 'no-stream', [newEvent(), newEvent()]);
      const forward = await readLog(store, before);
      expect(forward.map((event) => event.stream)).toEqual(streams.flatMap((stream) => [stream, stream]));
      expect(forward.at(-1)?.position).toBe(await store.head());
      const backward = [];
      for await (const events of store.readAll({ direction: 'backward', batchSize: 4 })) {
        backward.push(...events);
        if (backward.length >= 6) break;
      }
      expect(backward.slice(0, 6)).toEqual(forward.toReversed());
    });

    test('the log is filtered by category, type and stream, in batches of the size asked', async () => {
      const from = await store.head();
      const [alpha, beta] = [newStream(), newStream('beta')];
      await store.append(alpha, 'no-stream', [newEvent('Begun'), newEvent('Changed')]);
      await store.append(beta, 'no-stream', [newEvent('Opened'), newEvent('Closed'), newEvent('Closed')]);
      const read = async (options: object) => {
        const batches = [];
        for await (const events of store.readAll({ from, batchSize: 2, ...options }))
          batches.push(events.map((event) => event.type));
        return batches;
      };
      expect(await read({ categories: ['beta'] })).toEqual([['Opened', 'Closed'], ['Closed']]);
      expect((await read({ types: ['Changed', 'Opened'] })).flat()).toEqual(['Changed', 'Opened']);
      expect((await read({ stream: alpha })).flat()).toEqual(['Begun', 'Changed']);
    });

    test('the events at positions come in the order of the positions, without those that have no event', async () => {
      const streams = [newStream(), newStream(), newStream()];
      for (const stream of streams)
        await store.append(
          stream,
          'no-stream',
          Array.from({ length: 20 }, (_, n) => newEvent('Happened', { n })),
        );
      const log = (await Promise.all(streams.map((stream) => store.readStream(stream)))).flat();
      const some = log.filter((_, n) => n % 7 === 0 || n % 5 < 2);
      const read = async (wanted: readonly bigint[], caller?: AbortSignal) => {
        const found: RecordedEvent[] = [];
        for await (const events of store.readAt(wanted, caller)) found.push(...events);
        return found;
      };
      const positions = some.map(({ position }) => position);
      const beyond = ((await store.head()) ?? 0n) + 1_000_000n;
      expect(await read([...positions, beyond])).toEqual(some);
      expect(await read(positions.toReversed())).toEqual(some.toReversed());
      expect(await read([])).toEqual([]);
      expect(await read([beyond])).toEqual([]);
      expect(await read(positions, new AbortController().signal)).toEqual(some);
      const left = new AbortController();
      left.abort(new Error('left'));
      await expect(read(positions, left.signal)).rejects.toThrow('left');
    });

    test('a read for a caller gives what any read gives, and ends when the caller leaves', async () => {
      const from = await store.head();
      const stream = newStream();
      await store.append(stream, 'no-stream', [newEvent('Begun'), newEvent('Changed'), newEvent('Changed')]);
      const caller = new AbortController();
      const left = new Error('left');
      for (const which of [{}, { types: ['Begun', 'Changed'] }, { stream }]) {
        const types = [];
        for await (const events of store.readAll({ from, caller: caller.signal, ...which }))
          types.push(...events.map((event) => event.type));
        expect(types).toEqual(['Begun', 'Changed', 'Changed']);
      }
      expect(await store.readStream(stream, { caller: caller.signal })).toHaveLength(3);
      const pages = store.readAll({ from, caller: caller.signal, batchSize: 1 })[Symbol.asyncIterator]();
      expect((await pages.next()).done).toBe(false);
      caller.abort(left);
      const rest = async () => {
        for (;;) if ((await pages.next()).done) return;
      };
      await expect(rest()).rejects.toBe(left);
    });

    test('whether appends work is known without an append', async () => {
      expect(await store.checkAppends?.()).toBeUndefined();
      const head = await store.head();
      await store.append(newStream(), 'no-stream', [newEvent()]);
      expect(await store.checkAppends?.()).toBeUndefined();
      expect((await readLog(store, head)).length).toBe(1);
    });

    test('an append that was acknowledged is read at once', async () => {
      for (let n = 0; n < 50; n += 1) {
        const stream = newStream();
        await store.append(stream, 'no-stream', [newEvent()]);
        expect(await store.readStream(stream)).toHaveLength(1);
      }
    });
  });

  describe('subscribe', () => {
    test('catches up, says so, and goes on with what comes', async () => {
      const from = await store.head();
      const stream = newStream();
      await store.append(stream, 'no-stream', [newEvent()]);
      let caughtUpAt = 0;
      const seen = await follow(store, from, (events, caughtUp) => {
        if (caughtUp && caughtUpAt === 0) {
          caughtUpAt = events.length;
          void store.append(stream, 0n, [newEvent()]);
        }
        return events.length === 2;
      });
      expect(caughtUpAt).toBe(1);
      expect(seen.map((event) => event.revision)).toEqual([0n, 1n]);
    });

    test('resumes after the last event seen', async () => {
      const from = await store.head();
      const stream = newStream();
      await store.append(
        stream,
        'no-stream',
        Array.from({ length: 10 }, () => newEvent()),
      );
      const first = await follow(store, from, (events) => events.length >= 10);
      const rest = await follow(store, first[3]?.position, (events) => events.length >= 6);
      expect(rest.map((event) => event.revision)).toEqual([4n, 5n, 6n, 7n, 8n, 9n]);
    });

    test('a batch ends where an append ends, behind the head and at the head', async () => {
      const from = await store.head();
      const ends = new Set<string>();
      const write = async (...sizes: number[]) => {
        for (const size of sizes) {
          const { metadata } = newEvent();
          const events = Array.from({ length: size }, () => ({ ...newEvent(), metadata }));
          ends.add(events.at(-1)?.id ?? '');
          await store.append(newStream('gamma'), 'no-stream', events);
        }
      };
      await write(999, 300, 300, 999, 300);
      let left = 999 + 300 + 300 + 999 + 300 + 3 * 500;
      let writing: Promise<void> | undefined;
      for await (const { events, caughtUp } of store.subscribe(from, new AbortController().signal)) {
        const ours = events.filter(({ stream }) => stream.startsWith('gamma-'));
        const last = ours.at(-1);
        if (last) expect(ends).toContain(last.id);
        left -= ours.length;
        if (caughtUp) writing ??= write(500, 500, 500);
        if (left === 0) break;
      }
      await writing;
    });

    test('ends when its signal aborts, also while it waits', async () => {
      const stop = new AbortController();
      let batches = 0;
      for await (const { caughtUp } of store.subscribe(await store.head(), stop.signal)) {
        batches += 1;
        if (caughtUp) setImmediate(() => stop.abort());
      }
      expect(batches).toBe(1);
    });

    test('sees every event of writers at once, once and in order', async () => {
      const from = await store.head();
      const streams = Array.from({ length: 8 }, () => newStream());
      const write = async (stream: string) => {
        for (let n = 0n; n < 40n; n += 1n)
          await store.append(stream, n === 0n ? 'no-stream' : n - 1n, [
            newEvent('Happened', { n: n.toString() }),
          ]);
      };
      const [seen] = await Promise.all([
        follow(store, from, (events) => events.length >= 8 * 40),
        ...streams.map(write),
      ]);
      expect(new Set(seen.map((event) => event.id)).size).toBe(8 * 40);
      expect(seen.map((event) => event.position)).toEqual(
        seen.map((event) => event.position).toSorted(ascending),
      );
      for (const stream of streams)
        expect(seen.filter((event) => event.stream === stream).map((event) => event.revision)).toEqual(
          Array.from({ length: 40 }, (_, n) => BigInt(n)),
        );
    });
  });

  test('a time has passed when nothing more is recorded by then, and what it means stays', async () => {
    const stream = newStream();
    await store.append(stream, 'no-stream', [newEvent()]);
    const [first] = await store.readStream(stream);
    const passed = first?.recordedAt ?? new Date(0);
    expect(await store.hasPassed(passed)).toBe(true);
    await store.append(stream, 0n, [newEvent()]);
    const [second] = await store.readStream(stream, { after: 0n });
    expect(second && second.recordedAt > passed).toBe(true);
    expect(await store.hasPassed(new Date(Date.now() + 3_600_000))).toBe(false);

    let done = false;
    const write = async () => {
      for (; !done; await new Promise(setImmediate))
        await store.append(newStream(), 'no-stream', [newEvent()]);
    };
    const writing = Promise.all([write(), write(), write()]);
    const found = new Map<Date, bigint | undefined>();
    for (let n = 0; n < 20; n += 1) {
      const now = new Date();
      if (await store.hasPassed(now)) found.set(now, await store.positionAt(now));
    }
    done = true;
    await writing;
    expect(found.size).toBeGreaterThan(0);
    for (const [time, position] of found) expect(await store.positionAt(time)).toBe(position);
  });

  test('a stream of any category is read, and followed', async () => {
    const from = await store.head();
    const streams = ['policy', 'operations', 'a'].map((category) => newStream(category));
    for (const stream of streams) await store.append(stream, 'no-stream', [newEvent()]);
    expect((await readLog(store, from)).map((event) => event.stream)).toEqual(streams);
    const seen = await follow(store, from, (events) => events.length === streams.length);
    expect(seen.map((event) => event.stream)).toEqual(streams);
  });

  test('a position is the token of its event for whoever comes back with it', async () => {
    const stream = newStream();
    const { position } = await store.append(stream, 'no-stream', [
      newEvent('Happened', { mark: randomUUID() }),
    ]);
    expect((await store.readStream(stream))[0]?.position).toBe(position);
    expect(await readLog(store, position)).toEqual([]);
  });
}

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Times of a log whose clock was wrong at times. The log has nothing else. */
export function timesOfTheLog(open: () => Promise<EventStore>): void {
  let store: EventStore;
  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store.close());

  test('the position of a time is that of the last event recorded by then, whatever a wrong clock said', async () => {
    expect(await store.positionAt(new Date())).toBeUndefined();
    const stream = newStream();
    // The first times of transferred events: in order, but for a clock that ran ahead and one that fell back.
    const years = ['1991', '1992', '2999', '1993', '1994', '1970', '1995', 'no year'];
    const positions = new Map<string, bigint>();
    let expected: 'no-stream' | bigint = 'no-stream';
    for (const year of years) {
      const event = newEvent();
      const recordedAt = year === 'no year' ? year : `${year}-01-01T00:00:00.000Z`;
      const metadata = { ...event.metadata, recordedAt };
      const { revision, position }: AppendResult = await store.append(stream, expected, [
        { ...event, metadata },
      ]);
      positions.set(year, position);
      expected = revision;
    }
    const at = (time: string) => store.positionAt(new Date(time));
    expect(await at('1980-01-01')).toBeUndefined();
    expect(await at('1991-01-01')).toBe(positions.get('1991'));
    expect(await at('1991-12-31T23:59:59.999Z')).toBe(positions.get('1991'));
    expect(await at('1992-06-01')).toBe(positions.get('1992'));
    expect(await at('1993-06-01')).toBe(positions.get('1993'));
    expect(await at('1994-06-01')).toBe(positions.get('1970'));
    expect(await at('1995-06-01')).toBe(positions.get('1995'));
    expect(await store.positionAt(new Date())).toBe(positions.get('no year'));
  });
}

/** What a store does that keeps more than fits into memory. */
export function boundedBatches(open: () => Promise<EventStore>): void {
  let store: EventStore;
  beforeAll(async () => {
    store = await open();
  });
  afterAll(() => store.close());

  test('batches of large events are small, and miss none', async () => {
    const stream = newStream();
    const name = 'x'.repeat(900_000);
    const ids: string[] = [];
    for (let revision = -1n; revision < 39n; revision += 1n) {
      const event = newEvent('Happened', { name });
      ids.push(event.id);
      await store.append(stream, revision < 0n ? 'no-stream' : revision, [event]);
    }
    const largest = 32;
    const found: string[] = [];
    for await (const events of store.readAll({ stream })) {
      expect(events.length).toBeLessThan(largest);
      found.push(...events.map((event) => event.id));
    }
    expect(found).toEqual(ids);
    const positions = (await store.readStream(stream, { limit: 1 })).map(({ position }) => position);
    for await (const events of store.readAll({ stream, from: positions[0] }))
      positions.push(...events.map(({ position }) => position));
    for (const wanted of [positions, positions.toReversed()]) {
      const at: bigint[] = [];
      for await (const events of store.readAt(wanted)) {
        expect(events.length).toBeLessThan(largest);
        at.push(...events.map(({ position }) => position));
      }
      expect(at).toEqual(wanted);
    }
    const stop = new AbortController();
    const followed: string[] = [];
    for await (const { events } of store.subscribe(undefined, stop.signal)) {
      const ours = events.filter((event) => event.stream === stream);
      expect(ours.length).toBeLessThan(largest);
      followed.push(...ours.map((event) => event.id));
      if (followed.length === ids.length) stop.abort();
    }
    expect(followed).toEqual(ids);
    const part = await store.readStream(stream, { limit: 39 });
    expect(part.length).toBeGreaterThan(0);
    expect(part.map((event) => event.id)).toEqual(ids.slice(0, part.length));
  });
}
