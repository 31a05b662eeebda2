/** How the server writes a field of a JSON object: SQL that gives the value as JSON, between constant parts. */
interface Field {
  readonly sql: string;
  readonly before?: string;
  readonly after?: string;
  readonly optional?: boolean;
}

/** Any text. */
export const text = (sql: string): Field => ({ sql: `to_json(${sql})` });
/** A value whose text has nothing to escape, such as a UUID. A number becomes a text too. */
export const plain = (sql: string): Field => ({ sql, before: '"', after: '"' });
/** A number, or SQL that gives JSON. */
export const json = (sql: string): Field => ({ sql });
/** The field is null if the value is. */
export const nullable = (field: Field): Field => ({ ...field, sql: `coalesce(${field.sql}::text, 'null')` });
/** There is no such field if the value is null. */
export const optional = (field: Field): Field => ({ ...field, optional: true });
/**
 * Two times as two fields. Most pairs are the same time twice, which is then written once: a time takes longer than any
 * other value.
 */
export const times = (first: string, name: string, second: string): Field => ({
  before: '"',
  sql: `case when ${first} = ${second} then replace(${literal(`#","${name}":"#`)}, '#', ${rfc3339(first)})
    else ${rfc3339(first)} || ${literal(`","${name}":"`)} || ${rfc3339(second)} end`,
  after: '"',
});

/**
 * A time without microseconds, in RFC 3339, UTC, with milliseconds. The server leaves out zeros at the end: with one
 * microsecond more, there are none. `to_char` takes twice as long.
 */
const rfc3339 = (sql: string): string =>
  `(replace(left((${sql} + interval '1 microsecond')::text, 23), ' ', 'T') || 'Z')`;

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * SQL that gives a JSON object as text, as `JSON.stringify` writes it. No value is null, except in optional fields.
 * `concat` and `json_build_object` look at the type of each value for each row, and take twice as long.
 * @param fields in their order. The first field is not optional.
 * @param rest SQL of further fields, each text with a comma before, or an empty text.
 */
export function jsonObject(fields: Readonly<Record<string, Field>>, rest: readonly string[] = []): string {
  const parts: string[] = [];
  let constant = '{';
  for (const [name, { sql, before = '', after = '', optional: mayLack }] of Object.entries(fields)) {
    const key = `${parts.length > 0 ? ',' : ''}"${name}":${before}`;
    if (mayLack) {
      const value = [literal(key), sql, ...(after ? [literal(after)] : [])].join(' || ');
      parts.push(literal(constant), `coalesce(${value}, '')`);
      constant = '';
    } else {
      parts.push(literal(constant + key), sql);
      constant = after;
    }
  }
  const last = rest.length > 0 ? [literal(constant), ...rest, literal('}')] : [literal(`${constant}}`)];
  return [...parts, ...last].filter((part) => part !== literal('')).join(' || ');
}

/**
 * SQL that gives a list as a field `name` of a JSON object, with a comma before; and a field `more` if there are more
 * items than the list shows. An optional list is left out if it has no items.
 */
export function jsonList(
  { name, item, from, order }: { name: string; item: string; from: string; order: string },
  { limit, more, optional: mayLack = false }: { limit: number; more: string; optional?: boolean },
): string {
  const isMore = `count(*) = ${limit} and (select true from ${from} offset ${limit} limit 1)`;
  const list = `${literal(`,"${name}":[`)} || coalesce(string_agg(item, ','), '') || case when ${isMore} then ${literal(`],"${more}":true`)} else ']' end`;
  return `(select ${mayLack ? `case when count(*) > 0 then ${list} else '' end` : list}
    from (select ${item} as item from ${from} order by ${order} limit ${limit}) included)`;
}
