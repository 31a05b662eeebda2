import type { Position } from '../src/event-store/event-store.js';
import type { Checkpoint } from './checkpoint.js';

const WATCH_MS = 20;

/** What this process knows of how far the tables are. Readers can wait for the tables to get further. */
export class KnownCheckpoint {
  private checkpoint: Checkpoint | undefined;
  private readonly waiting = new Set<{ position: Position; resolve: () => void }>();
  private watch: NodeJS.Timeout | undefined;

  /**
   * @param log id of the log. Positions of another log are never reached.
   * @param read asks the tables.
   * @param active whether this process projects: an active projector calls {@link moved} by itself.
   */
  constructor(
    private readonly log: string,
    private readonly read: () => Promise<Checkpoint | undefined>,
    private readonly active: () => boolean,
  ) {}

  get current(): Checkpoint | undefined {
    return this.checkpoint;
  }

  /** Asks the tables, and remembers their answer. */
  async refresh(): Promise<Checkpoint | undefined> {
    this.moved(await this.read());
    return this.checkpoint;
  }

  moved(checkpoint: Checkpoint | undefined): void {
    this.checkpoint = checkpoint;
    for (const waiter of this.waiting) if (this.has(waiter.position)) waiter.resolve();
  }

  /** @returns whether the tables reached the position within the time. */
  async reached(position: Position, patienceMs: number): Promise<boolean> {
    if (this.has(position)) return true;
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
    return log === this.log && reached !== undefined && reached >= position;
  }

  /** While another process projects, its progress is read from the tables for as long as somebody waits. */
  private watchTables(): void {
    this.watch ??= setInterval(() => {
      if (this.waiting.size === 0) {
        clearInterval(this.watch);
        this.watch = undefined;
      }
      // The active projector may stop being active while somebody waits.
      if (this.active() || this.waiting.size === 0) return;
      this.refresh().catch(() => undefined);
    }, WATCH_MS);
  }
}
