/** The form of every id in an event: canonical, in lower case. */
export const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** Limit on the data of one append, in bytes of JSON. EventStoreDB's default; other adapters use the same limit. */
export const MAX_APPEND_BYTES = 1_048_576;

/** An event as a store has it: nobody has looked into its data yet. */
export interface UnknownEvent {
  readonly type: string;
  readonly data: object;
}

/** Whether a value is text that a table can hold: no U+0000, no half of a surrogate pair. */
export const isStorableText = (value: unknown): value is string =>
  typeof value === 'string' && !value.includes('\0') && value.isWellFormed();

/** Longest key of a source, in Unicode code points. An index has room for it. */
export const MAX_KEY_LENGTH = 255;

/** Whether a value can be the key of a source, or says that there is none. */
export const isKeyOrNone = (value: unknown): value is string | undefined =>
  value === undefined ||
  (isStorableText(value) &&
    value.length <= 2 * MAX_KEY_LENGTH &&
    (value.length <= MAX_KEY_LENGTH || [...value].length <= MAX_KEY_LENGTH));

export const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value);
