import type { Pool } from 'pg';
import type {
  EventFilter,
  EventSearch,
  Found,
  FindOptions,
  Reached,
} from '../../src/event-store/event-search.js';
import type { EventStore, Position } from '../../src/event-store/event-store.js';
import type { Moment } from '../../src/event-store/moment.js';
import { onAnotherLog, unavailable } from '../../src/http/problem.js';
import { prepared, queryFor } from '../../src/postgres/database.js';
import { authorStream } from '../../src/authors/author.events.js';
import { bookStream } from '../../src/books/book.events.js';
import { Parameters } from '../page.js';
import type { Projector } from '../projector.js';
import { BLOCK_BITS } from './changes.projection.js';

/** Events to look at by the first statement, if a second condition leaves some of them out, and by any statement. */
const FIRST_LOOK = 1_000;
const LONGEST_LOOK = 16_000;
const GROWTH = 4;
/** A page that isn't full after so long is given as it is. */
const PATIENCE_MS = 2_000;
/** Values with so many events count as frequent. */
const FREQUENT = 1_000;

/** An inclusive range of positions. */
interface Range {
  readonly low: Position;
  readonly high: Position;
}

/** The events of some values, which an index gives in order for each value. */
interface Source {
  readonly table: 'events' | 'concerned';
  readonly column: 'stream' | 'change' | 'actor' | 'type' | 'id';
  readonly values: readonly string[];
}

/** A condition on the event `e`. */
type Condition = (filter: EventFilter, parameters: Parameters) => string;

/** The conditions that an index answers. */
const INDEXED = {
  stream: ({ stream }, parameters) => `e.stream = ${parameters.add(stream)}`,
  book: ({ book }, parameters) => `e.book = ${parameters.add(book)}::uuid`,
  author: ({ author }, parameters) => `${parameters.add(author)}::uuid = any(e.authors)`,
  change: ({ change }, parameters) => `e.change = ${parameters.add(change)}`,
  actor: ({ actor }, parameters) => `e.actor = ${parameters.add(actor)}`,
  types: ({ types }, parameters) => `e.type = any(${parameters.add(types)}::text[])`,
} satisfies Partial<Record<keyof EventFilter, Condition>>;
type Indexed = keyof typeof INDEXED;

/** Where the events that meet a condition are. */
const SOURCES: Record<Indexed, (filter: EventFilter) => Source[]> = {
  stream: ({ stream = '' }) => [{ table: 'events', column: 'stream', values: [stream] }],
  book: ({ book = '' }) => concerning(book, bookStream(book)),
  author: ({ author = '' }) => concerning(author, authorStream(author)),
  change: ({ change = '' }) => [{ table: 'events', column: 'change', values: [change] }],
  actor: ({ actor = '' }) => [{ table: 'events', column: 'actor', values: [actor] }],
  types: ({ types = [] }) => [{ table: 'events', column: 'type', values: types }],
};

const concerning = (id: string, stream: string): Source[] => [
  { table: 'events', column: 'stream', values: [stream] },
  { table: 'concerned', column: 'id', values: [id] },
];

/** The conditions on times: of the event `e`, and of its block `t`. */
const TIMES = [
  { field: 'since', ofEvent: 'e.recorded_at >=', ofBlock: 't.latest >=' },
  { field: 'until', ofEvent: 'e.recorded_at <=', ofBlock: 't.earliest <=' },
] as const;

const timesIn = (filter: EventFilter, of: 'ofEvent' | 'ofBlock', parameters: Parameters): string[] =>
  TIMES.flatMap((one) => {
    const time = timeOf(filter[one.field]);
    return time === undefined ? [] : [`${one[of]} ${parameters.add(time)}::timestamptz`];
  });

const indexedIn = (filter: EventFilter): Indexed[] =>
  (Object.keys(INDEXED) as Indexed[]).filter((condition) => filter[condition] !== undefined);

/** The conditions that the driver leaves to look at. Without a driver, blocks of times lead along the events. */
function restOf(filter: EventFilter, driver: Indexed | undefined, parameters: Parameters): string[] {
  if (driver === undefined) return [];
  const others = indexedIn(filter).filter((condition) => condition !== driver);
  return [
    ...others.map((condition) => INDEXED[condition](filter, parameters)),
    ...timesIn(filter, 'ofEvent', parameters),
  ];
}

/** One step along the events of a range. */
interface Step extends Range {
  readonly backward: boolean;
  /** Number of events to look at. */
  readonly look: number;
  /** Number of events to find. */
  readonly wanted: number;
  readonly caller: AbortSignal | undefined;
}

/** Finds the positions of events in the tables of the projection `changes`. */
export class FindEvents implements EventSearch {
  /** The read of the head that is under way, or was the last; and the one that follows. */
  private heading: Promise<unknown> = Promise.resolve();
  private nextHead: Promise<Position | undefined> | undefined;

  constructor(
    private readonly pool: Pool,
    private readonly store: EventStore,
    private readonly projector: Pick<
      Projector,
      'schema' | 'position' | 'onAnotherLog' | 'readable' | 'standsStill' | 'refusal' | 'reached' | 'status'
    >,
    private readonly patienceMs: number,
  ) {}

  private get schema(): string {
    return this.projector.schema;
  }

  /**
   * Waits until the tables reach a position, or the log's head as of the call. If the tables don't reach the head in
   * time, what they have is still an answer.
   * @returns undefined if the tables have no event.
   * @throws Problem 503 if the tables don't reach the position in time, stand still, or are of another log.
   */
  async reach(position?: Position): Promise<Reached | undefined> {
    const { projector } = this;
    if (projector.onAnotherLog) throw onAnotherLog();
    if (!projector.readable) throw unavailable('The tables of changes are being rebuilt for this version.');
    if (projector.standsStill)
      throw (
        projector.refusal ??
        unavailable('The tables of changes do not follow the log: GET /projections shows the error.')
      );
    const wanted = position ?? (await this.head());
    if (wanted === undefined) return undefined;
    const current = await projector.reached(wanted, this.patienceMs);
    if (!current && position !== undefined)
      throw unavailable('The tables of changes have not reached this position yet.');
    const upTo = projector.position ?? (await projector.status()).position;
    if (upTo === undefined) throw unavailable('The tables of changes have not reached this position yet.');
    return { upTo, current };
  }

  /**
   * The head of the log as of the call, or later. Callers share a read, because the read takes a connection of commands.
   * A read that is under way may miss the last append, so a caller waits for the next one.
   */
  private head(): Promise<Position | undefined> {
    this.nextHead ??= this.heading
      .catch(() => undefined)
      .then(() => {
        this.nextHead = undefined;
        const reading = this.store.head();
        this.heading = reading;
        return reading;
      });
    return this.nextHead;
  }

  /** The positions of at most `limit` events, in order. Fewer if it takes long to find events that meet all conditions. */
  async find(filter: EventFilter, options: FindOptions): Promise<Found> {
    const { after, backward = false, limit, caller } = options;
    const bounds = await this.boundsOf(filter, options.upTo, caller);
    let { low, high } = bounds;
    if (after !== undefined && backward) high = lesser(high, after - 1n);
    if (after !== undefined && !backward) low = greater(low, after + 1n);
    const positions: Position[] = [];
    if (low > high) return { positions, next: undefined };
    const driver = await this.driverOf(filter, { low, high }, caller);
    const deadline = performance.now() + PATIENCE_MS;
    // One event more than the limit shows that there is more.
    let look = restOf(filter, driver, new Parameters()).length === 0 ? limit + 1 : FIRST_LOOK;
    for (; low <= high; look = Math.min(LONGEST_LOOK, look * GROWTH)) {
      const wanted = limit + 1 - positions.length;
      const { found, last } = await this.step(filter, driver, { low, high, backward, look, wanted, caller });
      positions.push(...found);
      if (positions.length > limit)
        return { positions: positions.slice(0, limit), next: positions[limit - 1] };
      if (last === undefined) break;
      if (performance.now() >= deadline) return { positions, next: last };
      if (backward) high = last - 1n;
      else low = last + 1n;
    }
    return { positions, next: undefined };
  }

  /** The range outside of which no event meets the conditions. */
  private async boundsOf(
    { since, until }: EventFilter,
    upTo: Position,
    caller: AbortSignal | undefined,
  ): Promise<Range> {
    let low = since && 'position' in since ? since.position : 0n;
    let high = until && 'position' in until ? lesser(until.position, upTo) : upTo;
    const [from, to] = [timeOf(since), timeOf(until)];
    if (from === undefined && to === undefined) return { low, high };
    const text = `select min(block) as first, max(block) as last from ${this.schema}.times
                  where latest >= coalesce($1::timestamptz, '-infinity')
                    and earliest <= coalesce($2::timestamptz, 'infinity')`;
    const query = prepared(text, [from, to]);
    const [blocks] = await queryFor<{ first: string | null; last: string | null }>(caller, this.pool, query);
    const [first, last] = [BigInt(blocks?.first ?? 0), BigInt(blocks?.last ?? -1)];
    low = greater(low, first << BigInt(BLOCK_BITS));
    high = lesser(high, ((last + 1n) << BigInt(BLOCK_BITS)) - 1n);
    return { low, high };
  }

  /** The condition that the fewest events meet. Frequent values count as equal. */
  private async driverOf(
    filter: EventFilter,
    range: Range,
    caller: AbortSignal | undefined,
  ): Promise<Indexed | undefined> {
    const given = indexedIn(filter);
    if (given.length < 2) return given[0];
    const parameters = new Parameters();
    const counts = given.map((condition) => {
      const rows = this.along(filter, condition, { ...range, backward: false, look: FREQUENT }, parameters);
      return `(select count(*) from (${rows}) one)`;
    });
    const query = prepared(`select array[${counts.join()}]::integer[] as counts`, parameters.values);
    const [row] = await queryFor<{ counts: number[] }>(caller, this.pool, query);
    const { counts: found = [] } = row ?? {};
    return given[found.indexOf(Math.min(...found))] ?? given[0];
  }

  /**
   * Looks at the next events that meet the driver's condition.
   * @returns the events that meet all conditions, and the last event looked at; undefined if there are no more.
   */
  private async step(
    filter: EventFilter,
    driver: Indexed | undefined,
    step: Step,
  ): Promise<{ found: Position[]; last: Position | undefined }> {
    const { backward, look, wanted, caller } = step;
    const parameters = new Parameters();
    const rows = this.along(filter, driver, step, parameters);
    const rest = restOf(filter, driver, parameters);
    const events = `join ${this.schema}.events e on e.position = c.position and ${rest.join(' and ')}`;
    const text = `
      with candidate as materialized (${rows})
      select array(select c.position::text from candidate c ${rest.length > 0 ? events : ''}
                   order by c.position ${backward ? 'desc' : 'asc'} limit ${parameters.add(wanted)}) as found,
             (select count(*)::integer from candidate) as seen,
             (select ${backward ? 'min' : 'max'}(position) from candidate) as last`;
    const query = prepared(text, parameters.values);
    const [row] = await queryFor<{ found: string[]; seen: number; last: string | null }>(
      caller,
      this.pool,
      query,
    );
    const { found = [], seen = 0, last } = row ?? {};
    return { found: found.map(BigInt), last: seen < look || last == null ? undefined : BigInt(last) };
  }

  /** A query for the positions of events that meet the driver's condition, in order. */
  private along(
    filter: EventFilter,
    driver: Indexed | undefined,
    { low, high, backward, look }: Omit<Step, 'wanted' | 'caller'>,
    parameters: Parameters,
  ): string {
    const direction = backward ? 'desc' : 'asc';
    const bounds = [low, high].map((bound) => `${parameters.add(bound.toString())}::bigint`);
    const [from = '', to = ''] = bounds;
    const limit = parameters.add(look);
    if (driver !== undefined) {
      const queries = SOURCES[driver](filter).map(({ table, column, values }) => {
        const type = column === 'id' ? 'uuid' : 'text';
        const digest = (text: string) => (column === 'id' ? text : `hashtextextended(${text}, 0)`);
        // By rows, and without an equality, so that no other index has the same order.
        return `select one.position from unnest(${parameters.add(values)}::${type}[]) given (value) cross join lateral (
                  select position from ${this.schema}.${table}
                  where (${digest(column)}, position) >= (${digest('given.value')}, ${from})
                    and (${digest(column)}, position) <= (${digest('given.value')}, ${to}) and ${column} = given.value
                  order by ${digest(column)} ${direction}, position ${direction} limit ${limit}
                ) one`;
      });
      return `select position from (${queries.join(' union all ')}) merged order by position ${direction} limit ${limit}`;
    }
    const ofEvent = timesIn(filter, 'ofEvent', parameters).map((condition) => ` and ${condition}`);
    const ofBlock = timesIn(filter, 'ofBlock', parameters).map((condition) => ` and ${condition}`);
    return `select e.position from ${this.schema}.times t cross join lateral (
              select position from ${this.schema}.events e
              where position >= greatest(${from}, t.block << ${BLOCK_BITS})
                and position <= least(${to}, ((t.block + 1) << ${BLOCK_BITS}) - 1)${ofEvent.join('')}
              order by position ${direction} limit ${limit}
            ) e
            where t.block >= ${from} >> ${BLOCK_BITS} and t.block <= ${to} >> ${BLOCK_BITS}${ofBlock.join('')}
            order by t.block ${direction}, e.position ${direction} limit ${limit}`;
  }
}

const timeOf = (moment: Moment | undefined): string | undefined =>
  moment && 'time' in moment ? moment.time.toISOString() : undefined;
const lesser = (a: Position, b: Position): Position => (a < b ? a : b);
const greater = (a: Position, b: Position): Position => (a > b ? a : b);
