import type { EventStore, Position } from '../event-store/event-store.js';
import type { PositionTokens } from '../event-store/position-token.js';
import { toLines } from './audit-event.js';
import { PAGE_OF_LINES } from './feed.js';

/** Selects a part of the log. */
export interface ReplayFilter {
  readonly after?: Position | undefined;
  readonly backward?: boolean | undefined;
  readonly types?: readonly string[] | undefined;
  readonly stream?: string | undefined;
  /** Aborts when the caller leaves. */
  readonly caller?: AbortSignal | undefined;
}

const PAGE = 1_000;

/** The log as NDJSON, many lines per string, up to the head as of the start. Memory stays flat. */
export async function* replay(
  store: EventStore,
  tokens: PositionTokens,
  { after, backward = false, types, stream, caller }: ReplayFilter,
): AsyncIterable<string> {
  const head = await store.head();
  if (head === undefined) return;
  const batchSize = caller ? PAGE_OF_LINES : PAGE;
  const part = backward ? { direction: 'backward' as const } : { to: head };
  for await (const events of store.readAll({ ...part, from: after, types, stream, caller, batchSize }))
    yield toLines(events, tokens);
}
