import { PoolCrowded } from './errors.js';

/** Callers that may wait until their statement is sent. The next one is refused. */
const MAX_WAITING = 500;

/** Callers that get the result of the same statement. */
interface Group<Result> {
  /** Aborts when all callers have left. A group whose first caller can't leave has none. */
  readonly left: AbortController | undefined;
  callers: number;
  readonly result: Promise<Result>;
}

/**
 * Callers that ask for the same at the same time share one statement and its result. A caller joins only a statement
 * that has not been sent: so the caller sees every write that anybody saw before the caller asked. While a statement is
 * under way, later callers gather, and share the next one. Nothing is kept. A statement's failure is told to all its
 * callers. If all its callers leave, the statement is stopped.
 */
export class Sharing<Result> {
  /** Groups whose statement has not been sent. */
  private readonly gathering = new Map<string, Group<Result>>();
  /** Ends of the statements that were sent last. */
  private readonly underWay = new Map<string, Promise<unknown>>();
  private waiting = 0;

  /**
   * @param key says what is asked for.
   * @param caller aborts when the caller leaves.
   * @param run makes the result. Calls `sending` right before the statement is sent.
   * @throws PoolCrowded if too many callers wait. The reason of `caller` after the caller left.
   */
  async ask(
    key: string,
    caller: AbortSignal | undefined,
    run: (callers: AbortSignal | undefined, sending: () => void) => Promise<Result>,
  ): Promise<Result> {
    caller?.throwIfAborted();
    if (this.waiting >= MAX_WAITING) throw new PoolCrowded();
    const group = this.gathering.get(key) ?? this.gather(key, caller, run);
    group.callers += 1;
    this.waiting += 1;
    if (!caller) return group.result;
    return new Promise((resolve, reject) => {
      group.result.then(resolve, reject);
      // The signal lives no longer than the request, so nobody has to take the listener away.
      caller.addEventListener('abort', () => {
        reject(caller.reason as Error);
        this.leave(key, group);
      });
    });
  }

  private gather(
    key: string,
    caller: AbortSignal | undefined,
    run: (callers: AbortSignal | undefined, sending: () => void) => Promise<Result>,
  ): Group<Result> {
    const left = caller && new AbortController();
    const close = () => {
      if (this.gathering.get(key) !== group) return;
      this.gathering.delete(key);
      this.waiting -= group.callers;
    };
    const sending = () => {
      close();
      this.underWay.set(key, ended);
    };
    const work = async () => {
      await this.underWay.get(key);
      left?.signal.throwIfAborted();
      return run(left?.signal, sending);
    };
    const result = work().finally(close);
    const ended = result.then(ignore, ignore).then(() => {
      if (this.underWay.get(key) === ended) this.underWay.delete(key);
    });
    const group: Group<Result> = { left, callers: 0, result };
    this.gathering.set(key, group);
    return group;
  }

  private leave(key: string, group: Group<Result>): void {
    group.callers -= 1;
    const gathers = this.gathering.get(key) === group;
    if (gathers) this.waiting -= 1;
    if (group.callers > 0 || !group.left) return;
    // Nobody must join a group that is given up.
    if (gathers) this.gathering.delete(key);
    group.left.abort(new Error('all callers left'));
  }
}

const ignore = () => undefined;
