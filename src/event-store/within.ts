import { EventStoreUnavailable } from './event-store.js';

/**
 * The result of work that ends before the deadline. Late work goes on, but nobody learns its outcome.
 * @param deadline in milliseconds since the epoch; Infinity: none.
 * @throws EventStoreUnavailable at the deadline.
 */
export function within<T>(deadline: number, work: Promise<T>): Promise<T> {
  if (deadline === Infinity) return work;
  return new Promise((resolve, reject) => {
    const late = () => reject(new EventStoreUnavailable(new Error('no answer in time')));
    const timer = setTimeout(late, deadline - performance.now());
    work.then(
      (result) => {
        clearTimeout(timer);
        resolve(result);
      },
      (error: unknown) => {
        clearTimeout(timer);
        // What the work threw, whatever it is.
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        reject(error);
      },
    );
  });
}
