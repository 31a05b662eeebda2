import { createHash, type Hash } from 'node:crypto';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ClientBase } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';

const NEWLINE = 10;
/** Rows are gathered to this many characters before a write, for fewer and larger writes. */
const WRITE_CHARACTERS = 65_536;

/** Types of values in a row. Text is escaped; arrays may contain only plain words. */
export type CopyValue = string | number | bigint | boolean | Date | readonly string[] | null;

/** The rows of a `COPY … TO STDOUT` in text format, some hundreds at a time. Values are text or null. */
export async function* copyOut(client: ClientBase, statement: string): AsyncIterable<(string | null)[][]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of client.query(copyTo(statement)) as AsyncIterable<Buffer>) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = bytes.lastIndexOf(NEWLINE);
    if (end >= 0) yield bytes.toString('utf8', 0, end).split('\n').map(fieldsOf);
    rest = bytes.subarray(end + 1);
  }
}

function fieldsOf(line: string): (string | null)[] {
  const fields = line.split('\t');
  if (!line.includes('\\')) return fields;
  return fields.map((field) => (field === '\\N' ? null : field.replace(ESCAPE, unescape)));
}

const ESCAPE = /\\(.)/g;
const MEANINGS: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const unescape = (_: string, letter: string): string => MEANINGS[letter] ?? letter;

/** A digest of the bytes of a `COPY … TO STDOUT`. */
export async function digestOut(client: ClientBase, statement: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of client.query(copyTo(statement)) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Writes rows into a table by `COPY`. Values have the form in which PostgreSQL writes them, in UTC. So reading the
 * table back in the same order gives the same bytes.
 */
export class CopyIn {
  rows = 0;
  private text = '';
  private readonly hash: Hash = createHash('sha256');
  private readonly stream: Writable;
  private failure: Error | undefined;

  /** @param client busy until {@link end}. */
  constructor(client: ClientBase, statement: string) {
    this.stream = client.query(copyFrom(statement));
    this.stream.on('error', (error) => (this.failure = error));
  }

  add(values: readonly CopyValue[]): void {
    let line = '';
    for (const value of values) line += `${line && '\t'}${fieldOf(value)}`;
    this.text += `${line}\n`;
    this.rows += 1;
  }

  /**
   * Await this regularly, so that rows don't pile up in memory.
   * @throws the server's error about the rows.
   */
  async flush(all = false): Promise<void> {
    if (this.failure) throw this.failure;
    if (this.text.length < (all ? 1 : WRITE_CHARACTERS)) return;
    const bytes = Buffer.from(this.text);
    this.text = '';
    this.hash.update(bytes);
    await new Promise<void>((resolve, reject) => {
      // If the connection is lost, the write's callback is never called.
      this.stream.once('error', reject);
      this.stream.write(bytes, (error) => {
        this.stream.off('error', reject);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** @returns the digest of all bytes written. */
  async end(): Promise<string> {
    await this.flush(true);
    this.stream.end();
    await finished(this.stream);
    return this.hash.digest('hex');
  }
}

function fieldOf(value: CopyValue): string | number | bigint {
  if (typeof value === 'string') return SPECIAL.test(value) ? value.replace(SPECIALS, escape) : value;
  if (value === null) return '\\N';
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (value instanceof Date) return timestamp(value);
  return typeof value === 'object' ? `{${value.join()}}` : value;
}

// Characters that COPY writes with a backslash.
const SPECIAL = /[\\\b\f\n\r\t\v]/;
const SPECIALS = new RegExp(SPECIAL, 'g');
const LETTERS = new Map(Object.entries(MEANINGS).map(([letter, meaning]) => [meaning, letter]));
const escape = (character: string): string => `\\${LETTERS.get(character) ?? character}`;

// The times of many events fall into few minutes, so the text of each minute is kept. A `toISOString` for each value
// took a seventh of a bulk load.
const MINUTE_MS = 60_000;
const MINUTES_KEPT = 10_000;
const minutes = new Map<number, string>();

/** A time in PostgreSQL's form of `timestamptz` in UTC: no trailing zeros in the fraction, and no zero fraction. */
function timestamp(date: Date): string {
  const time = date.getTime();
  const rest = ((time % MINUTE_MS) + MINUTE_MS) % MINUTE_MS;
  const minute = time - rest;
  let start = minutes.get(minute);
  if (start === undefined) {
    if (minutes.size === MINUTES_KEPT) minutes.clear();
    start = new Date(minute).toISOString().slice(0, 17).replace('T', ' ');
    minutes.set(minute, start);
  }
  const seconds = Math.trunc(rest / 1_000);
  const fraction = rest % 1_000;
  const decimals = fraction === 0 ? '' : `.${String(fraction).padStart(3, '0').replace(/0+$/, '')}`;
  return `${start}${seconds < 10 ? '0' : ''}${seconds}${decimals}+00`;
}
