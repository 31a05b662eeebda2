import { crc32, createInflateRaw } from 'node:zlib';

/** Gzip data that is cut off, or whose bytes have changed. Data before the damage has been passed on. */
export class DamagedGzip extends Error {}

const MAGIC = Buffer.from([0x1f, 0x8b]);
const DEFLATE = 8;
/** Flags of a member's header (RFC 1952). */
const [CHECKSUM, EXTRA, NAME, COMMENT] = [2, 4, 8, 16];
/**
 * Bytes to inflate at once. They give half a MiB at most, which bounds the memory. If they are damaged, what they give
 * is lost, which is some lines.
 */
const PIECE = 512;

/** The bytes themselves, or what they inflate to if they begin like gzip data, of one member or several. */
export async function* gunzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const input = new Input(chunks[Symbol.asyncIterator]());
  try {
    if (!(await input.isGzip())) {
      for (let bytes = await input.next(); bytes; bytes = await input.next()) yield bytes;
      return;
    }
    do yield* member(input);
    while (await input.skipZeros());
  } finally {
    await input.close();
  }
}

async function* member(input: Input): AsyncGenerator<Uint8Array, void> {
  const [one, two, method, flags = 0] = await input.take(10);
  if (one !== MAGIC[0] || two !== MAGIC[1] || method !== DEFLATE)
    throw new DamagedGzip('the gzip data is followed by other data');
  const has = (flag = 0) => (flags & flag) !== 0;
  if (has(EXTRA)) await input.take((await input.take(2)).readUInt16LE());
  for (const text of [NAME, COMMENT]) if (has(text)) while ((await input.take(1))[0] !== 0);
  if (has(CHECKSUM)) await input.take(2);

  let checksum = 0;
  let size = 0;
  for await (const bytes of inflated(input)) {
    checksum = crc32(bytes, checksum);
    size = (size + bytes.length) % 2 ** 32;
    yield bytes;
  }
  const end = await input.take(8);
  if (end.readUInt32LE() !== checksum || end.readUInt32LE(4) !== size)
    throw new DamagedGzip('the gzip data is damaged: its checksum is another');
}

/** Inflates one compressed stream, and leaves what comes after the stream in the input. */
async function* inflated(input: Input): AsyncGenerator<Uint8Array, void> {
  const inflate = createInflateRaw();
  const given: Uint8Array[] = [];
  inflate.on('data', (bytes: Uint8Array) => given.push(bytes));
  let failure: Error | undefined;
  let settle = () => {};
  inflate.on('error', (error) => {
    failure = error;
    settle();
  });
  try {
    for (;;) {
      const piece = await input.next(PIECE);
      if (!piece) throw new DamagedGzip('the gzip data ends too early');
      const before = inflate.bytesWritten;
      await new Promise<void>((resolve) => {
        settle = resolve;
        inflate.write(piece, () => resolve());
      });
      yield* given.splice(0);
      if (failure) throw new DamagedGzip(`the gzip data is damaged: ${failure.message}`);
      const used = inflate.bytesWritten - before;
      if (used < piece.length) return input.putBack(piece.subarray(used));
    }
  } finally {
    inflate.destroy();
  }
}

/** Reads bytes in portions of any size. */
class Input {
  private left: Uint8Array = new Uint8Array();

  constructor(private readonly chunks: AsyncIterator<Uint8Array>) {}

  /** Some bytes, at most `max`; undefined at the end. */
  async next(max = Infinity): Promise<Uint8Array | undefined> {
    while (this.left.length === 0) {
      const next = await this.chunks.next();
      if (next.done) return undefined;
      this.left = next.value;
    }
    const bytes = this.left.subarray(0, max);
    this.left = this.left.subarray(bytes.length);
    return bytes;
  }

  putBack(bytes: Uint8Array): void {
    this.left = this.left.length === 0 ? bytes : Buffer.concat([bytes, this.left]);
  }

  /** @throws DamagedGzip if there are fewer bytes. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.upTo(count);
    if (bytes.length < count) throw new DamagedGzip('the gzip data ends too early');
    return bytes;
  }

  async isGzip(): Promise<boolean> {
    const start = await this.upTo(MAGIC.length);
    this.putBack(start);
    return start.equals(MAGIC);
  }

  /** Skips the zeros that fill a block. @returns whether anything else comes. */
  async skipZeros(): Promise<boolean> {
    for (let byte = await this.next(1); byte; byte = await this.next(1))
      if (byte[0] !== 0) {
        this.putBack(byte);
        return true;
      }
    return false;
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  private async upTo(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let missing = count; missing > 0;) {
      const part = await this.next(missing);
      if (!part) break;
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }
}
