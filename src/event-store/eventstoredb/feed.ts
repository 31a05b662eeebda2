import { once } from 'node:events';
import type { AllStreamSubscription, RecordedEvent } from '@eventstore/db-client';

/** Events held for a follower that is slower than its server. Beyond, the server is asked to wait. */
const HIGH_WATER = 20_000;
/**
 * How long the server has to confirm a subscription. It has no deadline, and the client forgets one that was waiting for
 * a connection when another call gave that connection up.
 */
const CONFIRM_MS = 5_000;

/**
 * A subscription, taken from in batches. The server ends a live subscription that falls 32 events behind, so events are
 * taken off the wire as they come, whatever the follower is doing.
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
    // A stream whose error nobody hears ends the process.
    subscription.on('error', end);
    subscription.on('end', () => end(new Error('the server ended the subscription')));
    subscription.on('close', () => end(new Error('the subscription was closed')));
  }

  /** Up to `size` events, as soon as there is one. Empty when the signal aborts. @throws what ended the subscription. */
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

  /** Lets the server know; a subscription that is merely left goes on in the background. */
  close(): void {
    clearTimeout(this.confirmation);
    this.subscription.unsubscribe().catch(() => undefined);
  }
}
