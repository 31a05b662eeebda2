import { once } from 'node:events';
import type { AllStreamSubscription, RecordedEvent } from '@eventstore/db-client';
import { EventStoreUnavailable } from '../event-store.js';
import { sizeOf } from '../size.js';

/** Events, and bytes, held for a follower that is slower than the server. Above either, the server has to wait. */
const HIGH_WATER = 20_000;
const HIGH_WATER_BYTES = 16 * 1_048_576;
/**
 * How long the server may take to confirm a subscription. A subscription has no deadline of its own. The client loses a
 * subscription that waits for a connection if another call gives that connection up.
 */
const CONFIRM_MS = 5_000;

/** Events in order, and whether the server had no more of them when it sent the last one. */
export interface Taken {
  readonly events: readonly RecordedEvent[];
  readonly caughtUp: boolean;
  /** Whether more events have arrived already. */
  readonly more: boolean;
}

/**
 * A subscription that is read in batches. The server ends a live subscription that falls 32 events behind. So events
 * are taken off the wire on arrival, even while the follower is busy.
 */
export class Feed {
  private readonly buffer: { readonly event: RecordedEvent; readonly bytes: number }[] = [];
  private bytes = 0;
  private arrived = 0;
  private taken = 0;
  /** How many events arrive before the server has no more; undefined until the server says so. */
  private arriveBefore: number | undefined;
  private told = false;
  private ended: { readonly error: unknown } | undefined;
  private wake: (() => void) | undefined;
  private readonly confirmation: NodeJS.Timeout;

  /** @param onEvent called with each event on arrival. */
  constructor(
    private readonly subscription: AllStreamSubscription,
    onEvent: (event: RecordedEvent) => void,
  ) {
    const lost = (how: string) => end(new EventStoreUnavailable(new Error(how)));
    const late = () => lost('the server did not confirm the subscription in time');
    this.confirmation = setTimeout(late, CONFIRM_MS);
    subscription.once('confirmation', () => clearTimeout(this.confirmation));
    subscription.on('data', ({ event }) => {
      this.arrived += 1;
      if (!event) return;
      onEvent(event);
      const bytes = sizeOf(event.data) + sizeOf(event.metadata);
      this.buffer.push({ event, bytes });
      this.bytes += bytes;
      if (this.isFull(1)) subscription.pause();
      this.wake?.();
    });
    subscription.on('caughtUp', () => {
      // The client says so ahead of the events that it still holds.
      this.arriveBefore ??= this.arrived + subscription.readableLength;
      this.wake?.();
    });
    const end = (error: unknown) => {
      clearTimeout(this.confirmation);
      this.ended ??= { error };
      this.wake?.();
    };
    // An 'error' event without a listener would end the process.
    subscription.on('error', end);
    subscription.on('end', () => lost('the server ended the subscription'));
    subscription.on('close', () => lost('the subscription was closed'));
  }

  /**
   * Up to `size` events and about `bytes` bytes, as soon as there is at least one. Empty if the signal aborts, and once
   * when the server has no more.
   * @throws the error that ended the subscription.
   */
  async take(size: number, bytes: number, signal: AbortSignal): Promise<Taken> {
    while (this.buffer.length === 0 && !this.hasNews && !signal.aborted) {
      if (this.ended) throw this.ended.error;
      const news = new Promise<void>((resolve) => (this.wake = resolve));
      const left = new AbortController();
      await Promise.race([news, once(signal, 'abort', { signal: left.signal }).catch(() => undefined)]);
      left.abort();
    }
    if (signal.aborted) return { events: [], caughtUp: false, more: false };
    let count = 0;
    for (let sum = 0; count < size && count < this.buffer.length && sum < bytes; count += 1)
      sum += this.buffer[count]?.bytes ?? 0;
    const taken = this.buffer.splice(0, count);
    for (const one of taken) this.bytes -= one.bytes;
    this.taken += taken.length;
    if (!this.isFull(2) && this.subscription.isPaused()) this.subscription.resume();
    this.told ||= this.isCaughtUp;
    const more = this.buffer.length > 0;
    return { events: taken.map(({ event }) => event), caughtUp: this.isCaughtUp, more };
  }

  /** Unsubscribes at the server. Otherwise the subscription would continue in the background. */
  close(): void {
    clearTimeout(this.confirmation);
    this.subscription.unsubscribe().catch(() => undefined);
  }

  private get isCaughtUp(): boolean {
    return this.arriveBefore !== undefined && this.taken >= this.arriveBefore;
  }

  private get hasNews(): boolean {
    return this.isCaughtUp && !this.told;
  }

  /** Whether the buffer holds more than a part of what it may hold. */
  private isFull(part: number): boolean {
    return this.buffer.length > HIGH_WATER / part || this.bytes > HIGH_WATER_BYTES / part;
  }
}
