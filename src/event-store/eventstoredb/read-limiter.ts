import { EventStoreUnavailable } from '../event-store.js';

/** Reads of callers at a time. Appends and followers share the server with them, and don't wait for them. */
const MOST = 4;
const MOST_WAITING = 64;
const PATIENCE_MS = 5_000;

/** Limits how many reads on behalf of callers run at a time, and how many wait for how long. */
export class ReadLimiter {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /**
   * @param caller aborts when the caller leaves; undefined for a read that isn't limited.
   * @throws EventStoreUnavailable if too many reads wait, or this read waited too long.
   * @throws the reason of the signal if the caller left before the read began.
   */
  async run<T>(caller: AbortSignal | undefined, read: () => Promise<T>): Promise<T> {
    if (!caller) return read();
    if (this.running < MOST) this.running += 1;
    else await this.turn();
    try {
      caller.throwIfAborted();
      return await read();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running -= 1;
    }
  }

  private turn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const crowded = () => reject(new EventStoreUnavailable(new Error('too many reads wait')));
      if (this.waiting.length >= MOST_WAITING) return crowded();
      const begin = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(begin), 1);
        crowded();
      }, PATIENCE_MS);
      this.waiting.push(begin);
    });
  }
}
