import { streamNameFilter, type Filter } from '@eventstore/db-client';
import { categoryOf } from '../event-store.js';

/** The stream that holds the log's name. Not itself a stream of the log. */
export const LOG_STREAM = 'colophon-log';

/** Tells which streams of a server belong to the log, and converts their names. */
export class StreamNames {
  /**
   * @param prefix of every stream name, so that several logs can share a server.
   * @param categories that the log may have; undefined if no other log uses the server or the prefix.
   */
  constructor(
    private readonly prefix: string,
    private readonly categories?: readonly string[],
  ) {}

  onServer(stream: string): string {
    return this.prefix + stream;
  }

  inLog(streamId: string): string {
    return streamId.slice(this.prefix.length);
  }

  /** Whether an event is of this log. The server's own events, such as that of a tombstone, are not. */
  hasEvent({ streamId, type }: { streamId: string; type: string }): boolean {
    return !type.startsWith('$') && this.isOurs(streamId);
  }

  isOurs(streamId: string): boolean {
    if (!streamId.startsWith(this.prefix) || streamId === this.onServer(LOG_STREAM)) return false;
    const stream = this.inLog(streamId);
    return CATEGORISED.test(stream) && (this.categories?.includes(categoryOf(stream)) ?? true);
  }

  /** @throws RangeError if no reader of this log would see the stream, because its category isn't configured. */
  check(stream: string): void {
    if (!this.isOurs(this.onServer(stream)))
      throw new RangeError(`${stream} is in no category of this log: ${this.categories?.join(', ')}`);
  }

  /** The same selection as a filter of the server, for subscriptions. */
  get filter(): Filter {
    return this.categories
      ? streamNameFilter({ prefixes: this.categories.map((category) => `${this.prefix}${category}-`) })
      : streamNameFilter({ regex: `^${this.prefix}[a-z]+-` });
  }
}

const CATEGORISED = /^[a-z]+-/;
