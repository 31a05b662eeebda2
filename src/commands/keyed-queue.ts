import { within } from '../event-store/within.js';

/** A task was not begun: too many others wait, or its turn did not come in time. Nothing was changed. */
export class TooMuchContention extends Error {
  override message = 'Too many changes of the same resource are under way; this one was not made.';
}

/** A task was not begun: too many others wait, whatever their keys. Nothing was changed. */
export class TooManyWait extends TooMuchContention {
  override message = 'Too many changes are under way; this one was not made.';
}

/**
 * Runs tasks of the same key one after another, tasks of different keys concurrently. One deadline covers a task's wait
 * and its work.
 */
export class KeyedQueue {
  /** What begins the tasks that wait, in order, by the key of the task that runs; undefined if none has ever waited. */
  private readonly waiting = new Map<string, Set<() => void> | undefined>();

  /** Number of tasks that wait. */
  private inAll = 0;

  /**
   * @param maxWaiting largest number of tasks that wait for one key.
   * @param maxInAll largest number of tasks that wait.
   */
  constructor(
    private readonly maxWaiting = Infinity,
    private readonly maxInAll = Infinity,
  ) {}

  /**
   * @param deadline in milliseconds since the epoch. Work that is late keeps its turn until it ends.
   * @throws TooMuchContention if the task was not begun.
   * @throws EventStoreUnavailable if the task was begun, and did not end in time.
   */
  async run<T>(key: string, task: () => Promise<T>, deadline = Infinity): Promise<T> {
    if (this.waiting.has(key)) await this.turn(key, deadline);
    else this.waiting.set(key, undefined);
    return within(deadline, this.begin(key, task));
  }

  private async begin<T>(key: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } finally {
      const others = this.waiting.get(key);
      const [next] = others ?? [];
      if (next) next();
      else this.waiting.delete(key);
    }
  }

  private turn(key: string, deadline: number): Promise<void> {
    const others = this.waiting.get(key) ?? new Set();
    this.waiting.set(key, others);
    if (others.size >= this.maxWaiting) throw new TooMuchContention();
    if (this.inAll >= this.maxInAll) throw new TooManyWait();
    this.inAll += 1;
    return new Promise((resolve, reject) => {
      const leave = () => {
        others.delete(begin);
        this.inAll -= 1;
      };
      const begin = () => {
        leave();
        clearTimeout(timer);
        resolve();
      };
      const giveUp = () => {
        leave();
        reject(new TooMuchContention());
      };
      const timer = deadline === Infinity ? undefined : setTimeout(giveUp, deadline - performance.now());
      others.add(begin);
    });
  }
}
