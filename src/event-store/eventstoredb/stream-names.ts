import { streamNameFilter, type Filter } from '@eventstore/db-client';
import { categoryOf } from '../event-store.js';

/** The stream that names the log: it is no stream of the log. */
const LOG_STREAM = 'colophon-log';

/** Which of a server's streams are the log's, and what the server calls them. */
export class StreamNames {
  readonly log: string;

  /**
   * @param prefix before every stream's name, so that several logs can share a server.
   * @param categories that the log may have; undefined for a log that has the server, or its prefix, to itself.
   */
  constructor(
    private readonly prefix: string,
    private readonly categories?: readonly string[],
  ) {
    this.log = this.onServer(LOG_STREAM);
  }

  onServer(stream: string): string {
    return this.prefix + stream;
  }

  inLog(streamId: string): string {
    return streamId.slice(this.prefix.length);
  }

  isOurs(streamId: string): boolean {
    if (!streamId.startsWith(this.prefix) || streamId === this.log) return false;
    const stream = this.inLog(streamId);
    return CATEGORISED.test(stream) && (this.categories?.includes(categoryOf(stream)) ?? true);
  }

  /** @throws RangeError for a stream that no reader of this log would see: a category that it was not told of. */
  check(stream: string): void {
    if (!this.isOurs(this.onServer(stream)))
      throw new RangeError(`${stream} is in no category of this log: ${this.categories?.join(', ')}`);
  }

  /** The same for a subscription, by the server. */
  get filter(): Filter {
    return this.categories
      ? streamNameFilter({ prefixes: this.categories.map((category) => `${this.prefix}${category}-`) })
      : streamNameFilter({ regex: `^${this.prefix}[a-z]+-` });
  }
}

const CATEGORISED = /^[a-z]+-/;
