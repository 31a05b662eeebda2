import { Injectable } from '@nestjs/common';
import { EventStore, type Position, type RecordedEvent } from '../event-store/event-store.js';
import { PositionTokens } from '../event-store/position-token.js';
import { toLines } from './audit-event.js';
import { EventSearch, type EventFilter, type FindOptions } from '../event-store/event-search.js';

/** A page of events, in order. */
export interface EventPage {
  readonly events: readonly RecordedEvent[];
  /** The place to go on from; undefined at the end. */
  readonly next: Position | undefined;
}

/** A page of lines is small, because the service answers nobody else while it turns a page into JSON. */
export const PAGE_OF_LINES = 200;

/** Reads events that are found by index. */
@Injectable()
export class Feed {
  constructor(
    private readonly store: EventStore,
    private readonly search: EventSearch,
    private readonly tokens: PositionTokens,
  ) {}

  /** A page ends early if its events are large. */
  async page(filter: EventFilter, options: FindOptions): Promise<EventPage> {
    const { positions, next } = await this.search.find(filter, options);
    let events: readonly RecordedEvent[] = [];
    for await (const batch of this.store.readAt(positions, options.caller)) {
      const last = events.at(-1);
      if (last) return { events, next: last.position };
      events = batch;
    }
    return { events, next };
  }

  /** All events as NDJSON, many lines per string. */
  async *lines(filter: EventFilter, options: Omit<FindOptions, 'limit'>): AsyncIterable<string> {
    for (let { after } = options, more = true; more;) {
      const { events, next } = await this.page(filter, { ...options, after, limit: PAGE_OF_LINES });
      if (events.length > 0) yield toLines(events, this.tokens);
      after = next;
      more = next !== undefined;
    }
  }
}
