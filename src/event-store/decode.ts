import { isStorableText } from '../stored-data.js';
import type { EventMetadata, NewEvent, Position, RecordedEvent, Revision } from './event-store.js';
import { parseTime } from './moment.js';
import { upcast, UPCASTERS } from './upcast.js';

/** A stored event: parsed JSON, with the store's own revision, position and time. */
export interface StoredEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
  readonly id: string;
  readonly type: string;
  readonly data: unknown;
  readonly metadata: unknown;
  /** The time at which this store recorded the event. */
  readonly recordedAt: Date;
}

/**
 * The only place where stored data becomes an event. An event of an older schema version is upcast to the newest.
 *
 * Whatever stands in the log is decoded: programs other than Colophon may write there too. An event that Colophon can't
 * have written says so in `unreadable`. The verdict depends only on data, actor, schema version and first time,
 * because a read stream by stream has nothing else of the metadata.
 * @param upcasters for tests; by default all upcasters.
 */
export function decode(stored: StoredEvent, upcasters = UPCASTERS): RecordedEvent {
  const metadata = isObject(stored.metadata) ? stored.metadata : undefined;
  const unreadable = flawOf(stored.data, metadata);
  const { stream, revision, position, id, type } = stored;
  if (unreadable !== undefined || metadata === undefined)
    return {
      stream,
      revision,
      position,
      id,
      type,
      data: isObject(stored.data) ? stored.data : {},
      metadata: textsOf(metadata),
      recordedAt: stored.recordedAt,
      unreadable: unreadable ?? NO_METADATA,
      stored: { data: stored.data, metadata: stored.metadata },
    };
  // The metadata of a transferred event has the time at which the event was first recorded.
  const recordedAt =
    metadata['recordedAt'] === undefined ? stored.recordedAt : new Date(metadata['recordedAt'] as string);
  const event: RecordedEvent = {
    stream,
    revision,
    position,
    id,
    type,
    data: stored.data as object,
    metadata: metadata as unknown as EventMetadata,
    recordedAt,
  };
  return upcast(event, upcasters);
}

/**
 * What the store holds of an unreadable event, to be written elsewhere: the copy is as unreadable, for the same reason.
 * Bytes that are no JSON become a text, which is no object either.
 */
export function asFound({
  data,
  metadata,
}: NonNullable<RecordedEvent['stored']>): Pick<NewEvent, 'data' | 'metadata'> {
  const json = (value: unknown): unknown =>
    ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
      : (value ?? null);
  return { data: json(data) as object, metadata: json(metadata) as EventMetadata };
}

type Fields = Readonly<Record<string, unknown>>;

const NO_METADATA = 'its metadata is not a JSON object';
/** RFC 3339 as Colophon writes it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** Why Colophon can't have written this; undefined if it can. */
function flawOf(data: unknown, metadata: Fields | undefined): string | undefined {
  if (!isObject(data)) return 'its data is not a JSON object';
  if (!metadata) return NO_METADATA;
  const { actor, schemaVersion, recordedAt } = metadata;
  if (!isStorableText(actor)) return 'its metadata names no actor in text that a table can hold';
  if (!Number.isInteger(schemaVersion)) return 'its metadata has no schema version';
  if (recordedAt === undefined) return undefined;
  return typeof recordedAt === 'string' && TIME.test(recordedAt) && parseTime(recordedAt)
    ? undefined
    : 'its metadata has a recordedAt that is not a time';
}

/** What can be shown of metadata that may be anything. */
function textsOf(metadata: Fields = {}): EventMetadata {
  const text = (field: string) => {
    const value = metadata[field];
    return typeof value === 'string' ? value : '';
  };
  const version = metadata['schemaVersion'];
  return {
    commandId: text('commandId'),
    actor: text('actor'),
    correlationId: text('correlationId'),
    causationId: text('causationId'),
    schemaVersion: Number.isInteger(version) ? Number(version) : 0,
  };
}

/** Bytes are what EventStoreDB's client gives for an event that isn't JSON. */
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
