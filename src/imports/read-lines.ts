import { gunzipped, UnreadableData } from './gunzip.js';

/** Longest line accepted, in bytes. A book with a thousand authors stays below this limit. */
export const MAX_LINE_BYTES = 1_048_576;

/** A line of a file, or the reason why the line can't be read. Data that can't be read on ends the lines. */
export type RawLine = { readonly number: number } & (
  | { readonly text: string }
  | { readonly tooLong: true }
  | { readonly notUtf8: true }
  | { readonly unreadable: UnreadableData }
);

const NEWLINE = 0x0a;

/**
 * Lines of a byte stream, which may be compressed by gzip. Numbered from 1. Skips blank lines. Holds at most one line and
 * one chunk in memory.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<RawLine, void> {
  let number = 0;
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const decoder = new TextDecoder('utf-8', { fatal: true });

  const add = (part: Uint8Array) => {
    bytes += part.length;
    if (bytes > MAX_LINE_BYTES) parts = [];
    else parts.push(part);
  };
  const end = (): RawLine | undefined => {
    number += 1;
    if (bytes === 0) return undefined;
    const line = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    const tooLong = bytes > MAX_LINE_BYTES;
    parts = [];
    bytes = 0;
    if (tooLong) return { number, tooLong };
    try {
      const text = decoder.decode(line);
      return text.trim() === '' ? undefined : { number, text };
    } catch {
      return { number, notUtf8: true };
    }
  };

  try {
    for await (const chunk of gunzipped(chunks)) {
      let start = 0;
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, start)) {
        add(chunk.subarray(start, at));
        start = at + 1;
        const line = end();
        if (line) yield line;
      }
      if (start < chunk.length) add(chunk.subarray(start));
    }
  } catch (error) {
    if (!(error instanceof UnreadableData)) throw error;
    yield { number: number + 1, unreadable: error };
    return;
  }
  if (bytes > 0) {
    const line = end();
    if (line) yield line;
  }
}
