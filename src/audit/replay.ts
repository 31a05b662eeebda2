import type { EventStore, Position } from '../event-store/event-store.js';
import type { PositionTokens } from '../event-store/position-token.js';
import { toAuditEvent } from './audit-event.js';

/** Selects a part of the log. */
export interface ReplayFilter {
  readonly after?: Position | undefined;
  readonly types?: readonly string[] | undefined;
  readonly stream?: string | undefined;
  /** Aborts when the caller leaves. */
  readonly caller?: AbortSignal | undefined;
}

/** A page for a caller is small, because the service answers nobody else while it turns a page into JSON. */
const CALLERS_PAGE = 200;
const PAGE = 1_000;

/** The log as NDJSON, many lines per string, up to the head as of the start. Memory stays flat. */
export async function* replay(
  store: EventStore,
  tokens: PositionTokens,
  { after, types, stream, caller }: ReplayFilter,
): AsyncIterable<string> {
  const head = await store.head();
  if (head === undefined) return;
  const batchSize = caller ? CALLERS_PAGE : PAGE;
  for await (const events of store.readAll({ from: after, to: head, types, stream, caller, batchSize }))
    yield events.map((event) => `${JSON.stringify(toAuditEvent(event, tokens))}\n`).join('');
}
