import { gzipSync } from 'node:zlib';
import { UnreadableData, gunzipped } from './gunzip.js';

const text = Array.from({ length: 300 }, (_, n) => `line ${n} ${Math.sin(n)}\n`).join('');
const zipped = gzipSync(text);

/** What comes out, and why it ended. */
async function inflate(bytes: Uint8Array, size = 65_536): Promise<{ out: string; flaw?: string }> {
  const parts: Uint8Array[] = [];
  const out = () => Buffer.concat(parts).toString();
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  try {
    for await (const part of gunzipped(chunks())) parts.push(part);
    return { out: out() };
  } catch (error) {
    if (!(error instanceof UnreadableData)) throw error;
    return { out: out(), flaw: error.message };
  }
}

/** The header's optional fields, as other programs write them. */
const withFields = (flags: number, ...fields: Uint8Array[]) => {
  const head = Buffer.from(zipped.subarray(0, 10));
  head[3] = flags;
  return Buffer.concat([head, ...fields, zipped.subarray(10)]);
};
const name = Buffer.from('catalogue.ndjson\0');
const extra = Buffer.from([3, 0, 1, 2, 3]);

describe('gzip data is inflated', () => {
  test.each([
    ['in one piece', zipped, text],
    ['with a name', withFields(8, name), text],
    ['with every field', withFields(31, extra, name, Buffer.from('comment\0'), Buffer.from([0, 0])), text],
    ['of several members', Buffer.concat([zipped, gzipSync(''), gzipSync('more')]), `${text}more`],
    ['with zeros at the end', Buffer.concat([zipped, Buffer.alloc(1_000)]), text],
    ['with zeros between members', Buffer.concat([zipped, Buffer.alloc(700), zipped]), text + text],
    ['of nothing', gzipSync(''), ''],
  ])('%s', async (_, bytes, expected) => {
    for (const size of [1, 7, 512, 65_536]) expect(await inflate(bytes, size)).toEqual({ out: expected });
  });
});

test.each([[''], ['{'], ['{}\n'], ['\u001f'], ['\u001f{}'], [text]])(
  'other data is passed on',
  async (data) => {
    for (const size of [1, 65_536]) expect(await inflate(Buffer.from(data), size)).toEqual({ out: data });
  },
);

test.each([
  ['PK\u0003\u0004', 'zip'],
  ['BZh9', 'bzip2'],
  ['\u00fd7zXZ\u0000', 'xz'],
  ['(\u00b5/\u00fd', 'zstd'],
  ['\u00ff\u00fe{\u0000', 'UTF-16'],
])('other data that begins with %j is told as what it is', async (start, kind) => {
  const data = Buffer.from(`${start}\n\n`, 'latin1');
  expect(await inflate(data, 1)).toEqual({ out: '', flaw: `the data is ${kind}, not text in UTF-8 or gzip` });
});

test('many small members take linear time', async () => {
  const members = Array.from({ length: 1_000 }, (_, n) => gzipSync(`${n}\n`));
  expect((await inflate(Buffer.concat(members), 1_000_000)).out).toBe(
    members.map((_, n) => `${n}\n`).join(''),
  );
});

describe('damaged gzip data gives what comes before the damage', () => {
  test('cut off anywhere', async () => {
    const short = gzipSync('one\ntwo\n');
    for (let length = 2; length < short.length; length += 1) {
      const { out, flaw } = await inflate(short.subarray(0, length));
      expect([flaw, 'one\ntwo\n'.startsWith(out)]).toEqual(['the gzip data ends too early', true]);
    }
    // All but the checksum.
    expect((await inflate(short.subarray(0, -8))).out).toBe('one\ntwo\n');
    const half = await inflate(zipped.subarray(0, zipped.length / 2));
    expect(text.startsWith(half.out)).toBe(true);
    expect(half.out.length).toBeGreaterThan(text.length / 3);
  });

  test('followed by other data', async () => {
    const followed = Buffer.concat([gzipSync('one\n'), Buffer.from('{"type":"author"}\n')]);
    expect(await inflate(followed)).toEqual({
      out: 'one\n',
      flaw: 'the gzip data is followed by other data',
    });
  });

  test('changed in the middle', async () => {
    const changed = Buffer.from(zipped);
    changed.fill(0xff, zipped.length / 2, zipped.length / 2 + 100);
    const { out, flaw } = await inflate(changed);
    expect(flaw).toMatch(/^the gzip data is damaged: /);
    expect(text.slice(0, text.length / 3)).toBe(out.slice(0, text.length / 3));
  });

  test('with another checksum', async () => {
    const changed = Buffer.from(zipped);
    changed.writeUInt32LE(0, zipped.length - 8);
    expect(await inflate(changed)).toEqual({
      out: text,
      flaw: 'the gzip data is damaged: its checksum is another',
    });
  });
});

test('data that inflates to a thousand times its size comes in small parts', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1_048_576));
  let read = 0;
  async function* chunks() {
    for (; read < bomb.length; read += 256) yield await Promise.resolve(bomb.subarray(read, read + 256));
  }
  let size = 0;
  let largest = 0;
  let waiting = 0;
  for await (const part of gunzipped(chunks())) {
    size += part.length;
    largest = Math.max(largest, part.length);
    waiting = Math.max(waiting, read * 1_000 - size);
  }
  expect(size).toBe(64 * 1_048_576);
  expect(largest).toBeLessThanOrEqual(65_536);
  expect(waiting).toBeLessThan(1_048_576);
});

test('the source is closed when nobody reads on', async () => {
  let closed = 0;
  async function* chunks(bytes: Uint8Array) {
    try {
      for (;;) yield await Promise.resolve(bytes);
    } finally {
      closed += 1;
    }
  }
  for (const bytes of [zipped, Buffer.from(text)]) for await (const _ of gunzipped(chunks(bytes))) break;
  expect(closed).toBe(2);
});

test('an error of the source is no damage', async () => {
  async function* chunks() {
    yield await Promise.resolve(zipped.subarray(0, 100));
    throw new Error('cut');
  }
  const read = async () => {
    for await (const _ of gunzipped(chunks()));
  };
  await expect(read()).rejects.toThrow('cut');
});
