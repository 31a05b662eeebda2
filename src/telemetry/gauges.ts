import { Gauge, type Registry } from 'prom-client';
import type { EventStore, Position } from '../event-store/event-store.js';
import { lagOf, recordedAfter } from '../event-store/lag.js';
import { within } from '../event-store/within.js';
import { openPools } from '../postgres/database.js';

/** What the tables say of a follower. */
export interface Look {
  readonly position: Position | undefined;
  /** Parked events; of policies, parked streams. */
  readonly parked: number;
  /** Since when the oldest of them is parked; undefined if there is none. */
  readonly parkedSince: Date | undefined;
  /** Only of policies: tasks that are not done. */
  readonly tasks?: { readonly open: number; readonly openSince: Date | undefined };
  /** Only of a projection: the last rebuild; undefined if there was none. */
  readonly rebuild?: Rebuild | undefined;
}

interface Rebuild {
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly error: string | null;
}

/** A follower that a scrape asks. Only `look` asks the database, and may take as long as the database likes. */
export interface Standing {
  readonly name: string;
  readonly leads: () => boolean;
  readonly standsStillSince: () => Date | undefined;
  readonly look: () => Promise<Look>;
}

/** The followers of this process. Wired in `resources.module.ts`. */
export abstract class Watched {
  abstract readonly followers: readonly Standing[];
}

/** Longest wait for an answer of PostgreSQL or of the event store. The lag in seconds takes another second at most. */
const ANSWER_MS = 1_500;

/**
 * Looks at what has a value now, only when asked. What does not answer in time has no value, and is told as not up. While
 * an answer is late, nobody asks again, so that scrapes don't pile up on a server in trouble.
 */
export class Gauges {
  private readonly up;
  private readonly leads;
  private readonly lag;
  private readonly lagSeconds;
  private readonly still;
  private readonly parked;
  private readonly parkedSeconds;
  private readonly tasks;
  private readonly taskSeconds;
  private readonly rebuilding;
  private readonly rebuildFailed;
  private readonly rebuildSeconds;
  private readonly connections;
  private readonly waiting;
  private readonly head;
  private readonly looks;

  constructor(
    registry: Registry,
    private readonly store: EventStore,
    { followers }: Watched,
    private readonly answerMs = ANSWER_MS,
  ) {
    const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
      new Gauge({ name: `colophon_${name}`, help, labelNames, registers: [registry] });
    this.up = gauge(
      'dependency_up',
      'Whether PostgreSQL and the event store answered this scrape',
      'dependency',
    );
    this.leads = gauge('follower_leader', 'Whether this process is the leader', 'follower');
    this.lag = gauge('follower_lag_positions', 'How far the follower is behind the log', 'follower');
    this.lagSeconds = gauge(
      'follower_lag_seconds',
      'Age of the oldest event that is not taken in',
      'follower',
    );
    this.still = gauge('follower_standstill_seconds', 'How long the follower stands still', 'follower');
    this.parked = gauge('follower_parked', 'Parked events; of policies, authors and books', 'follower');
    this.parkedSeconds = gauge('follower_parked_oldest_seconds', 'Age of the oldest of them', 'follower');
    this.tasks = gauge('policy_tasks_open', 'Tasks of policies that are not done');
    this.taskSeconds = gauge('policy_task_oldest_seconds', 'Age of the oldest of them');
    this.rebuilding = gauge('rebuild_running', 'Whether a rebuild is running, in any process', 'projection');
    this.rebuildFailed = gauge('rebuild_failed', 'Whether the last rebuild failed', 'projection');
    this.rebuildSeconds = gauge('rebuild_duration_seconds', 'Time of the last rebuild, so far', 'projection');
    this.connections = gauge('pool_connections', 'Connections of the pools to PostgreSQL', 'pool', 'state');
    this.waiting = gauge('pool_waiting', 'Callers that wait for a connection', 'pool');
    this.head = onceAtATime(async () => ({ position: await store.head() }));
    this.looks = followers.map((follower) => ({
      follower,
      look: onceAtATime(follower.look),
      recordedAfter: onceAtATime(recordedAfter),
    }));
  }

  async refresh(): Promise<void> {
    this.lookInside();
    const deadline = performance.now() + this.answerMs;
    const [head, ...looks] = await Promise.all([
      answered(deadline, this.head()),
      ...this.looks.map(async ({ look, ...rest }) => ({ ...rest, seen: await answered(deadline, look()) })),
    ]);
    this.up.set({ dependency: 'event_store' }, Number(head !== undefined));
    this.up.set({ dependency: 'postgresql' }, Number(looks.every(({ seen }) => seen !== undefined)));
    for (const gauge of [this.lag, this.lagSeconds, this.parked, this.parkedSeconds]) gauge.reset();
    for (const gauge of [this.rebuilding, this.rebuildFailed, this.rebuildSeconds]) gauge.reset();
    for (const gauge of [this.tasks, this.taskSeconds]) gauge.remove();
    await Promise.all(
      looks.map(async ({ follower: { name }, recordedAfter, seen }) => {
        if (!seen) return;
        this.showLook(name, seen);
        if (!head) return;
        const { positions, seconds } = await lagOf(this.store, seen.position, head.position, recordedAfter);
        this.lag.set({ follower: name }, positions);
        if (seconds !== undefined) this.lagSeconds.set({ follower: name }, seconds);
      }),
    );
  }

  /** What this process knows by itself. */
  private lookInside(): void {
    for (const { follower } of this.looks) {
      const labels = { follower: follower.name };
      this.leads.set(labels, Number(follower.leads()));
      this.still.set(labels, secondsSince(follower.standsStillSince()));
    }
    this.connections.reset();
    this.waiting.reset();
    for (const { name: pool, open, inUse, waiting } of openPools()) {
      this.connections.inc({ pool, state: 'in_use' }, inUse);
      this.connections.inc({ pool, state: 'idle' }, open - inUse);
      this.waiting.inc({ pool }, waiting);
    }
  }

  private showLook(name: string, { parked, parkedSince, tasks, rebuild }: Look): void {
    this.parked.set({ follower: name }, parked);
    this.parkedSeconds.set({ follower: name }, secondsSince(parkedSince));
    if (tasks) {
      this.tasks.set(tasks.open);
      this.taskSeconds.set(secondsSince(tasks.openSince));
      return;
    }
    const labels = { projection: name };
    this.rebuilding.set(labels, Number(rebuild !== undefined && rebuild.endedAt === null));
    this.rebuildFailed.set(labels, Number(rebuild !== undefined && rebuild.error !== null));
    this.rebuildSeconds.set(labels, secondsSince(rebuild?.startedAt, rebuild?.endedAt ?? undefined));
  }
}

/** Seconds between two times, 0 if the first is undefined. The clocks of two machines may differ. */
const secondsSince = (time: Date | undefined, until = new Date()): number =>
  time ? Math.max(0, until.getTime() - time.getTime()) / 1_000 : 0;

/** A question that is not asked again before its answer. Whoever asks meanwhile gets that answer. */
function onceAtATime<Asked extends unknown[], T>(
  ask: (...asked: Asked) => Promise<T>,
): (...asked: Asked) => Promise<T> {
  let answer: Promise<T> | undefined;
  return (...asked) => (answer ??= ask(...asked).finally(() => (answer = undefined)));
}

/** The answer; undefined if it is late, or an error. */
const answered = <T>(deadline: number, answer: Promise<T>): Promise<T | undefined> =>
  within(deadline, answer).catch(() => undefined);
