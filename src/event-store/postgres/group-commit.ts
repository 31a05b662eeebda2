import { Client } from 'pg';
import { connectionOptions } from '../../postgres/connection-options.js';
import { APPLICATION_NAME, isUnavailable } from '../../postgres/database.js';
import {
  EventStoreUnavailable,
  RevisionConflict,
  type AppendResult,
  type ExpectedRevision,
  type NewEvent,
} from '../event-store.js';

interface Append {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  readonly events: readonly NewEvent[];
  readonly deadline: number;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Outcome {
  n: string;
  accepted: boolean;
  revision: string;
  position: string | null;
}

/** Events in one commit. Above some hundreds, a larger group gains nothing and delays every other writer. */
const MAX_GROUP_EVENTS = 1_000;
/** From this number of waiting appends, half go first and the others follow in a second group. */
const SPLIT_FROM = 16;
/** How long an append with unknown outcome is retried before the caller gets EventStoreUnavailable. */
const SETTLE_MS = 5_000;
const RECONNECT_MS = 100;

/**
 * Gathers appends that arrive during a commit, and writes them in the next commit. All appends share one round trip and
 * one flush to disk; each has its own outcome. The log is written under one lock, so a second connection could only
 * wait for the first. But a second group may follow the first on the same connection. Then the server commits one group
 * while we answer the callers of the other and receive their next commands.
 *
 * If the connection breaks during a group, the group's outcome is unknown. The group is sent again with the same event
 * ids. An append that finds its own event ids at the expected revisions had already succeeded.
 */
export class GroupCommit {
  private queue: Append[] = [];
  private readonly underWay = new Map<Append[], Promise<void>>();
  private scheduled: NodeJS.Immediate | undefined;
  private connection: Promise<Client> | undefined;
  private client: Client | undefined;

  constructor(
    private readonly connectionString: string,
    private readonly committed: () => void,
  ) {}

  append(stream: string, expected: ExpectedRevision, events: readonly NewEvent[]): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      this.queue.push({ stream, expected, events, deadline: Date.now() + SETTLE_MS, resolve, reject });
      // Callers that run in the same tick share a group.
      this.scheduled ??= setImmediate(() => this.send());
    });
  }

  /** Closes the connection after all accepted appends are written. */
  async close(): Promise<void> {
    if (this.queue.length > 0) this.send();
    while (this.underWay.size > 0) await Promise.race(this.underWay.values());
    await this.client?.end().catch(() => undefined);
    this.client = undefined;
    this.connection = undefined;
  }

  private send(): void {
    this.scheduled = undefined;
    while (this.worthSending()) {
      const group = this.takeGroup();
      if (group.length === 0) return;
      const work = this.commit(group).finally(() => {
        this.underWay.delete(group);
        this.send();
      });
      this.underWay.set(group, work);
    }
  }

  /** A second group must be at least half as large as the first: a small group costs a flush of the same length. */
  private worthSending(): boolean {
    const [first] = this.underWay.keys();
    if (!first) return this.queue.length > 0;
    return this.underWay.size === 1 && this.queue.length >= Math.max(SPLIT_FROM / 2, first.length / 2);
  }

  /** As many appends as fit, in order. An append to a stream of a group in progress waits for a later group. */
  private takeGroup(): Append[] {
    const group: Append[] = [];
    const streams = new Set([...this.underWay.keys()].flat().map((append) => append.stream));
    const rest: Append[] = [];
    const split = this.underWay.size === 0 && this.queue.length >= SPLIT_FROM;
    const limit = split ? Math.ceil(this.queue.length / 2) : Infinity;
    let events = 0;
    for (const append of this.queue) {
      const fits =
        group.length === 0 || (group.length < limit && events + append.events.length <= MAX_GROUP_EVENTS);
      if (!fits || streams.has(append.stream)) {
        rest.push(append);
      } else {
        group.push(append);
        events += append.events.length;
      }
      streams.add(append.stream);
    }
    this.queue = rest;
    return group;
  }

  private async commit(group: Append[]): Promise<void> {
    for (let open = group; open.length > 0;) {
      let client: Client | undefined;
      try {
        client = await this.connected();
        const outcomes = await send(client, open);
        this.committed();
        for (const [index, append] of open.entries()) {
          const outcome = outcomes[index];
          if (outcome) append.resolve(outcome);
          else await this.settle(client, append);
        }
        return;
      } catch (error) {
        if (client) this.drop(client);
        if (!isUnavailable(error)) {
          for (const append of open) append.reject(error);
          return;
        }
        const now = Date.now();
        for (const append of open)
          if (append.deadline <= now) append.reject(new EventStoreUnavailable(error));
        open = open.filter((append) => append.deadline > now);
        if (open.length > 0) await new Promise((retry) => setTimeout(retry, RECONNECT_MS));
      }
    }
  }

  /** The stream is at another revision: a conflict, unless an earlier attempt already wrote these same events. */
  private async settle(client: Client, append: Append): Promise<void> {
    const before = append.expected === 'no-stream' ? -1n : append.expected;
    const { rows } = await client.query<{ id: string; revision: string; position: string }>(
      `select id, revision, position from event_store.events
       where stream = $1 and revision > $2 order by revision limit $3`,
      [append.stream, before.toString(), append.events.length],
    );
    const last = rows.at(-1);
    if (last && append.events.every((event, index) => rows[index]?.id === event.id)) {
      append.resolve({ revision: BigInt(last.revision), position: BigInt(last.position) });
      return;
    }
    const { rows: heads } = await client.query<{ revision: string }>(
      'select revision from event_store.events where stream = $1 order by revision desc limit 1',
      [append.stream],
    );
    const actual = heads[0] ? BigInt(heads[0].revision) : 'no-stream';
    append.reject(new RevisionConflict(append.stream, append.expected, actual));
  }

  private connected(): Promise<Client> {
    this.connection ??= this.connect().catch((error: unknown) => {
      this.connection = undefined;
      throw error;
    });
    return this.connection;
  }

  private async connect(): Promise<Client> {
    const client = new Client(
      connectionOptions(this.connectionString, {
        connectionTimeoutMillis: 2_000,
        query_timeout: 10_000,
        keepAlive: true,
        pipeline: true,
        application_name: APPLICATION_NAME,
      }),
    );
    client.on('error', () => this.drop(client));
    await client.connect();
    this.client = client;
    return client;
  }

  /** Drops a client once: by now, `this.client` may be its successor. */
  private drop(client: Client): void {
    if (this.client !== client) return;
    this.client = undefined;
    this.connection = undefined;
    void client.end().catch(() => undefined);
  }
}

/** @returns for each append the result, or undefined if the stream was at another revision. */
async function send(client: Client, group: readonly Append[]): Promise<(AppendResult | undefined)[]> {
  const owners: number[] = [];
  const offsets: number[] = [];
  group.forEach(({ events }, index) =>
    events.forEach((_, offset) => {
      owners.push(index + 1);
      offsets.push(offset + 1);
    }),
  );
  const events = group.flatMap((append) => append.events);
  const { rows } = await client.query<Outcome>({
    name: 'append-events',
    text: 'select n, accepted, revision, position from event_store.append_events($1, $2, $3, $4, $5, $6, $7, $8)',
    values: [
      group.map((append) => append.stream),
      group.map((append) => (append.expected === 'no-stream' ? '-1' : append.expected.toString())),
      owners,
      offsets,
      events.map((event) => event.id),
      events.map((event) => event.type),
      events.map((event) => JSON.stringify(event.data)).join('\n'),
      events.map((event) => JSON.stringify(event.metadata)).join('\n'),
    ],
  });
  const results: (AppendResult | undefined)[] = group.map(() => undefined);
  for (const { n, accepted, revision, position } of rows)
    if (accepted && position)
      results[Number(n) - 1] = { revision: BigInt(revision), position: BigInt(position) };
  return results;
}
