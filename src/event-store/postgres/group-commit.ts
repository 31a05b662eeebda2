import { Client } from 'pg';
import { connectionOptions } from '../../postgres/connection-options.js';
import { APPLICATION_NAME } from '../../postgres/database.js';
import { classify, isUnavailable, PoolCrowded, sqlState } from '../../postgres/errors.js';
import { appendSettled, groupCommitted } from '../../signals.js';
import {
  EventStoreUnavailable,
  RevisionConflict,
  type AppendObstacle,
  type AppendResult,
  type ExpectedRevision,
  type NewEvent,
} from '../event-store.js';

interface Append {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  readonly events: readonly NewEvent[];
  /** The events' data and metadata as JSON, one event a line. */
  readonly data: string;
  readonly metadata: string;
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
/** Characters of JSON in one commit. A statement must stay far below the longest string of Node, 512 MiB. */
const MAX_GROUP_TEXT = 8 * 1_048_576;
/** Characters of JSON that may wait for a commit. The next append is refused. */
const MAX_WAITING_TEXT = 64 * 1_048_576;
/** From this number of waiting appends, half go first and the others follow in a second group. */
const SPLIT_FROM = 16;
/** From its call, an append has this time to wait and to be written. Then the caller gets EventStoreUnavailable. */
const SETTLE_MS = 5_000;
/** The server's limit for a group. Shorter than the callers' time, so that no group is written after the callers left. */
const STATEMENT_MS = 4_500;
/** A group that takes longer is in trouble. No second group follows: the server would write it at any later time. */
const TROUBLED_MS = 500;
const CONNECT_MS = 2_000;
const RECONNECT_MS = 100;
/** Deadlines are checked this often. One timer for each append would cost more. */
const SWEEP_MS = 100;
/** How long a full disk is remembered if no append has succeeded since. Nobody may append meanwhile. */
const REMEMBER_MS = 10_000;
const CHECK_MS = 1_000;
const DISK_FULL = '53100';

/**
 * Gathers appends that arrive during a commit, and writes them in the next commit. All appends share one round trip and
 * one flush to disk; each has its own outcome. The log is written under one lock, so a second connection could only
 * wait for the first. But a second group may follow the first on the same connection. Then the server commits one group
 * while we answer the callers of the other and receive their next commands.
 *
 * If the connection breaks during a group, the group's outcome is unknown. The group is sent again with the same event
 * ids. An append that finds its own event ids at the expected revisions had already succeeded.
 *
 * One deadline covers an append's wait and its work. An append that still waits at its deadline is never sent. If the
 * append was sent by then, its outcome is unknown, and nobody waits for it any longer.
 */
export class GroupCommit {
  private queue: Append[] = [];
  private waitingText = 0;
  /** The groups that were taken from the queue, each with the time when it was taken. */
  private readonly underWay = new Map<Append[], { readonly work: Promise<void>; readonly since: number }>();
  private sweeping: NodeJS.Timeout | undefined;
  private diskFull: number | undefined;
  private checked: { readonly at: number; readonly result: Promise<AppendObstacle | undefined> } | undefined;
  private scheduled: NodeJS.Immediate | undefined;
  private connection: Promise<Client> | undefined;
  private client: Client | undefined;

  constructor(
    private readonly connectionString: string,
    private readonly committed: () => void,
  ) {}

  append(stream: string, expected: ExpectedRevision, events: readonly NewEvent[]): Promise<AppendResult> {
    const data = events.map((event) => JSON.stringify(event.data)).join('\n');
    const metadata = events.map((event) => JSON.stringify(event.metadata)).join('\n');
    return new Promise((resolve, reject) => {
      if (this.waitingText > MAX_WAITING_TEXT) throw new EventStoreUnavailable(new PoolCrowded());
      const deadline = performance.now() + SETTLE_MS;
      this.waitingText += data.length + metadata.length;
      this.queue.push({ stream, expected, events, data, metadata, deadline, resolve, reject });
      this.sweeping ??= setInterval(() => this.sweep(), SWEEP_MS).unref();
      // Callers that run in the same tick share a group.
      this.scheduled ??= setImmediate(() => this.send());
    });
  }

  /**
   * Whether appends would work, by the connection that writes them. The answer is kept for a second.
   * @throws if the server can't be reached.
   */
  check(): Promise<AppendObstacle | undefined> {
    if (!this.checked || performance.now() - this.checked.at >= CHECK_MS)
      this.checked = { at: performance.now(), result: this.findObstacle() };
    return this.checked.result;
  }

  private async findObstacle(): Promise<AppendObstacle | undefined> {
    const full =
      this.diskFull !== undefined && performance.now() - this.diskFull < REMEMBER_MS
        ? 'disk-full'
        : undefined;
    // The groups in progress show whether appends work. A query behind them could outlast its time, and break their connection.
    if (this.underWay.size > 0) return full;
    try {
      const client = await this.connected();
      const { rows } = await client.query<{ refused: boolean }>(
        `select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as refused`,
      );
      if (rows[0]?.refused) return 'read-only';
      return full;
    } catch (error) {
      this.checked = undefined;
      throw error;
    }
  }

  /** Closes the connection after all accepted appends are written. */
  async close(): Promise<void> {
    if (this.queue.length > 0) this.send();
    while (this.underWay.size > 0) await Promise.race([...this.underWay.values()].map((group) => group.work));
    clearInterval(this.sweeping);
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
      this.underWay.set(group, { work, since: performance.now() });
    }
  }

  /** A second group must be at least half as large as the first: a small group costs a flush of the same length. */
  private worthSending(): boolean {
    const [first] = this.underWay;
    if (!first) return this.queue.length > 0;
    const [group, { since }] = first;
    if (this.underWay.size > 1 || performance.now() - since > TROUBLED_MS) return false;
    return this.queue.length >= Math.max(SPLIT_FROM / 2, group.length / 2);
  }

  /** Answers every caller whose time is over. Appends that still wait are dropped. */
  private sweep(): void {
    for (const group of this.underWay.keys()) inTime(group);
    this.queue = inTime(this.queue);
    this.waitingText = this.queue.reduce((sum, append) => sum + sizeOf(append), 0);
    if (this.queue.length > 0 || this.underWay.size > 0) return;
    clearInterval(this.sweeping);
    this.sweeping = undefined;
  }

  /** As many appends as fit, in order. An append to a stream of a group in progress waits for a later group. */
  private takeGroup(): Append[] {
    const group: Append[] = [];
    const streams = new Set([...this.underWay.keys()].flat().map((append) => append.stream));
    const rest: Append[] = [];
    const split = this.underWay.size === 0 && this.queue.length >= SPLIT_FROM;
    const limit = split ? Math.ceil(this.queue.length / 2) : Infinity;
    let events = 0;
    let text = 0;
    for (const append of this.queue) {
      const fits =
        group.length === 0 ||
        (group.length < limit &&
          events + append.events.length <= MAX_GROUP_EVENTS &&
          text + sizeOf(append) <= MAX_GROUP_TEXT);
      if (!fits || streams.has(append.stream)) {
        rest.push(append);
      } else {
        group.push(append);
        events += append.events.length;
        text += sizeOf(append);
      }
      streams.add(append.stream);
    }
    this.queue = rest;
    this.waitingText -= text;
    return group;
  }

  private async commit(group: readonly Append[]): Promise<void> {
    for (let open = group; ;) {
      let client: Client | undefined;
      try {
        client = await this.connected();
        open = inTime(open);
        if (open.length === 0) return;
        const outcomes = await send(client, open);
        this.diskFull = undefined;
        this.committed();
        groupCommitted.tell(open.length);
        // Those that are written first: a conflict takes two more round trips.
        open.forEach((append, index) => outcomes[index] && append.resolve(outcomes[index]));
        open = open.filter((_, index) => !outcomes[index]);
        for (const append of open) await this.settle(client, append);
        return;
      } catch (error) {
        if (client) this.drop(client);
        if (sqlState(error) === DISK_FULL) this.diskFull = performance.now();
        // One append that the server refuses must not fail the others.
        if (classify(error) === 'refused' && open.length > 1) {
          for (const append of open) await this.commit([append]);
          return;
        }
        if (!isUnavailable(error)) {
          // Without an answer of the server the outcome is unknown, whatever the error.
          const told = sqlState(error) === undefined ? new EventStoreUnavailable(error) : error;
          for (const append of open) append.reject(told);
          return;
        }
        open = inTime(open, error);
        if (open.length === 0) return;
        await new Promise((retry) => setTimeout(retry, RECONNECT_MS));
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
      appendSettled.tell();
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
        connectionTimeoutMillis: CONNECT_MS,
        query_timeout: SETTLE_MS,
        statement_timeout: STATEMENT_MS,
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
      group.map((append) => append.data).join('\n'),
      group.map((append) => append.metadata).join('\n'),
    ],
  });
  const results: (AppendResult | undefined)[] = group.map(() => undefined);
  for (const { n, accepted, revision, position } of rows)
    if (accepted && position)
      results[Number(n) - 1] = { revision: BigInt(revision), position: BigInt(position) };
  return results;
}

/** The appends whose time isn't over. The callers of the others are told. */
function inTime(
  appends: readonly Append[],
  cause: unknown = new Error('the append took too long'),
): Append[] {
  const now = performance.now();
  return appends.filter((append) => {
    if (append.deadline > now) return true;
    append.reject(new EventStoreUnavailable(cause));
    return false;
  });
}

const sizeOf = ({ data, metadata }: Append): number => data.length + metadata.length;
