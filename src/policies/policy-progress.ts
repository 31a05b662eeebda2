import type { ChangeProgress, LeftAsItWas, UnderWay } from '../changes/change-progress.js';
import type { Position } from '../event-store/event-store.js';
import { pause } from '../event-store/pause.js';
import { within } from '../event-store/within.js';
import type { PolicyTables } from './policy-tables.js';

/** Time between two looks into the tables, for all who wait. */
const LOOK_MS = 25;
/** Longest look. A database that is away must not keep an answer whose command is done. */
const PATIENCE_MS = 2_000;
/** Tasks of one change that are shown. A change has one, and one for each link that came too late. */
const MOST_SHOWN = 100;

interface Waiter {
  readonly change: string;
  readonly position: Position;
  readonly deadline: number;
  readonly resolve: (ended: boolean) => void;
}

/**
 * Tells how far changes are, by the tables of policies, so on every instance. All who wait in a process share one look into
 * the tables at a time.
 */
export class PolicyProgress implements ChangeProgress {
  private waiting: Waiter[] = [];
  private looking: Promise<void> | undefined;
  private lookedAt = 0;
  private readonly closing = new AbortController();

  /** @param log id of the log whose positions count. */
  constructor(
    private readonly tables: PolicyTables,
    private readonly log: string,
  ) {}

  ended(change: string, position: Position, patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.waiting.push({ change, position, deadline: performance.now() + patienceMs, resolve });
      this.looking ??= this.look();
    });
  }

  async reached(position: Position, patienceMs: number): Promise<boolean> {
    // No change has an empty id.
    return this.ended('', position, patienceMs);
  }

  async underWay(change: string): Promise<UnderWay[]> {
    const open = await this.tables.open(MOST_SHOWN, change);
    return open.map(({ what, changed, parked }) => ({ what, done: changed, parked }));
  }

  async leftAlone(change: string, limit: number): Promise<LeftAsItWas> {
    return this.tables.leftAlone(change, limit);
  }

  /** Called by Nest before the server closes. Whoever still waits is told that the change has not ended. */
  async onModuleDestroy(): Promise<void> {
    this.closing.abort();
    await this.looking;
  }

  private async look(): Promise<void> {
    const { signal } = this.closing;
    while (this.waiting.length > 0) {
      await pause(this.lookedAt + LOOK_MS - performance.now(), signal);
      this.lookedAt = performance.now();
      const asked = this.waiting.splice(0);
      const changes = [...new Set(asked.map(({ change }) => change))];
      const looked = within(this.lookedAt + PATIENCE_MS, this.tables.standing(changes));
      const { log, position = -1n, open } = (await looked.catch(() => undefined)) ?? {};
      for (const waiter of asked) {
        const reached = log === this.log && position >= waiter.position;
        const ended = reached && open?.has(waiter.change) === false;
        if (ended || performance.now() >= waiter.deadline || signal.aborted) waiter.resolve(ended);
        else this.waiting.push(waiter);
      }
    }
    this.looking = undefined;
  }
}
