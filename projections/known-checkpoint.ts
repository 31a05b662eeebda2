import type { Position } from '../src/event-store/event-store.js';
import { PoolCrowded } from '../src/postgres/errors.js';
import type { Checkpoint } from './checkpoint.js';

const WATCH_MS = 20;
/** Callers that wait for a position. A step of the tables looks at each. */
const MAX_WAITING = 4_000;

/** The last checkpoint that this process has seen. Readers can wait until the tables reach a position. */
export class KnownCheckpoint {
  private checkpoint: Checkpoint | undefined;
  private readonly waiting = new Set<{ position: Position; resolve: () => void }>();
  private watch: NodeJS.Timeout | undefined;
  /** Number of calls of {@link moved}. A read that a later call overtook is out of date. */
  private moves = 0;
  private reading = false;

  /**
   * @param log id of the log, once it is known. Positions of another log are never reached.
   * @param read asks the tables.
   * @param active whether this process projects: an active projector calls {@link moved} by itself.
   */
  constructor(
    private readonly log: () => string | undefined,
    private readonly read: () => Promise<Checkpoint | undefined>,
    private readonly active: () => boolean,
  ) {}

  get current(): Checkpoint | undefined {
    return this.checkpoint;
  }

  /** Reads the checkpoint from the tables, and keeps the result unless the checkpoint moved meanwhile. */
  async refresh(): Promise<Checkpoint | undefined> {
    const { moves } = this;
    const found = await this.read();
    // Positions can't tell which is newer: a rebuild may go back.
    if (this.moves === moves) this.moved(found);
    return this.checkpoint;
  }

  moved(checkpoint: Checkpoint | undefined): void {
    this.moves += 1;
    this.checkpoint = checkpoint;
    for (const waiter of this.waiting) if (this.has(waiter.position)) waiter.resolve();
  }

  /**
   * @returns whether the tables reached the position within `patienceMs`.
   * @throws PoolCrowded if too many callers wait.
   */
  async reached(position: Position, patienceMs: number): Promise<boolean> {
    if (this.has(position)) return true;
    if (this.waiting.size >= MAX_WAITING) throw new PoolCrowded();
    this.watchTables();
    return new Promise((resolve) => {
      const waiter = { position, resolve: () => settle(true) };
      const timer = setTimeout(() => settle(this.has(position)), patienceMs);
      const settle = (reached: boolean) => {
        clearTimeout(timer);
        this.waiting.delete(waiter);
        resolve(reached);
      };
      this.waiting.add(waiter);
    });
  }

  close(): void {
    clearInterval(this.watch);
  }

  private has(position: Position): boolean {
    const { log, position: reached } = this.checkpoint ?? {};
    return log !== undefined && log === this.log() && reached !== undefined && reached >= position;
  }

  /** If another process is the leader, reads the leader's progress from the tables while a caller waits. */
  private watchTables(): void {
    this.watch ??= setInterval(() => {
      if (this.waiting.size === 0) {
        clearInterval(this.watch);
        this.watch = undefined;
      }
      // A leader may lose the lead while a caller waits, so check each time.
      if (this.active() || this.waiting.size === 0 || this.reading) return;
      this.reading = true;
      this.refresh()
        .catch(() => undefined)
        .finally(() => (this.reading = false));
    }, WATCH_MS);
  }
}
