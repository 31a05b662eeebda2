import { once } from 'node:events';
import type { AllStreamSubscription, RecordedEvent } from '@eventstore/db-client';

/** Events held for a follower that is slower than the server. Above this number, the server has to wait. */
const HIGH_WATER = 20_000;
/**
 * How long the server may take to confirm a subscription. A subscription has no deadline of its own. The client loses a
 * subscription that waits for a connection if another call gives that connection up.
 */
const CONFIRM_MS = 5_000;

/**
 * A subscription that is read in batches. The server ends a live subscription that falls 32 events behind. So events
 * are taken off the wire on arrival, even while the follower is busy.
 */
export class Feed {
  private buffer: RecordedEvent[] = [];
  private ended: { readonly error: unknown } | undefined;
  private wake: (() => void) | undefined;
  private readonly confirmation: NodeJS.Timeout;

  constructor(private readonly subscription: AllStreamSubscription) {
    const late = () => end(new Error('the server did not confirm the subscription in time'));
    this.confirmation = setTimeout(late, CONFIRM_MS);
    subscription.once('confirmation', () => clearTimeout(this.confirmation));
    subscription.on('data', ({ event }) => {
      if (!event) return;
      this.buffer.push(event);
      if (this.buffer.length > HIGH_WATER) subscription.pause();
      this.wake?.();
    });
    const end = (error: unknown) => {
      clearTimeout(this.confirmation);
      this.ended ??= { error };
      this.wake?.();
    };
    // An 'error' event without a listener would end the process.
    subscription.on('error', end);
    subscription.on('end', () => end(new Error('the server ended the subscription')));
    subscription.on('close', () => end(new Error('the subscription was closed')));
  }

  /**
   * Up to `size` events, as soon as there is at least one. Empty if the signal aborts.
   * @throws the error that ended the subscription.
   */
  async take(size: number, signal: AbortSignal): Promise<RecordedEvent[]> {
    while (this.buffer.length === 0 && !signal.aborted) {
      if (this.ended) throw this.ended.error;
      const news = new Promise<void>((resolve) => (this.wake = resolve));
      const left = new AbortController();
      await Promise.race([news, once(signal, 'abort', { signal: left.signal }).catch(() => undefined)]);
      left.abort();
    }
    if (signal.aborted) return [];
    const events = this.buffer.splice(0, size);
    if (this.buffer.length <= HIGH_WATER / 2 && this.subscription.isPaused()) this.subscription.resume();
    return events;
  }

  /** Unsubscribes at the server. Otherwise the subscription would continue in the background. */
  close(): void {
    clearTimeout(this.confirmation);
    this.subscription.unsubscribe().catch(() => undefined);
  }
}
