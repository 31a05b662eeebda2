import { crc32, createInflateRaw } from 'node:zlib';

/** Data that can't be read on. What comes before has been passed on. */
export class UnreadableData extends Error {
  constructor(
    readonly rule: 'damaged-gzip' | 'unsupported-data',
    message: string,
  ) {
    super(message);
  }
}

const damaged = (what: string) => new UnreadableData('damaged-gzip', `the gzip data ${what}`);

/** How data begins that isn't text in UTF-8. No line of JSON begins so. */
const KINDS: Readonly<Record<string, string>> = {
  '1f8b': 'gzip',
  '504b': 'zip',
  '425a': 'bzip2',
  fd37: 'xz',
  '28b5': 'zstd',
  fffe: 'UTF-16',
  feff: 'UTF-16',
};
const DEFLATE = 8;
/** Flags of a member's header (RFC 1952). */
const [CHECKSUM, EXTRA, NAME, COMMENT] = [2, 4, 8, 16];
/**
 * Bytes to inflate at once. They give half a MiB at most, which bounds the memory. If they are damaged, what they give
 * is lost, which is some lines.
 */
const PIECE = 512;
const TOO_EARLY = 'ends too early';

/**
 * The bytes themselves, or what they inflate to if they begin like gzip data, of one member or several.
 * @throws UnreadableData, in turn.
 */
export async function* gunzipped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const input = new Input(chunks[Symbol.asyncIterator]());
  try {
    const kind = KINDS[await input.start()];
    if (kind === undefined)
      for (let bytes = await input.next(); bytes; bytes = await input.next()) yield bytes;
    else if (kind === 'gzip')
      do yield* member(input);
      while (await input.skipZeros());
    else throw new UnreadableData('unsupported-data', `the data is ${kind}, not text in UTF-8 or gzip`);
  } finally {
    await input.close();
  }
}

async function* member(input: Input): AsyncGenerator<Uint8Array, void> {
  if (KINDS[await input.start()] !== 'gzip') throw damaged('is followed by other data');
  const [, , method, flags = 0] = await input.take(10);
  if (method !== DEFLATE) throw damaged('is compressed in an unknown way');
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
    throw damaged('is damaged: its checksum is another');
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
      if (!piece) throw damaged(TOO_EARLY);
      const before = inflate.bytesWritten;
      await new Promise<void>((resolve) => {
        settle = resolve;
        inflate.write(piece, () => resolve());
      });
      yield* given.splice(0);
      if (failure) throw damaged(`is damaged: ${failure.message}`);
      const used = inflate.bytesWritten - before;
      if (used < piece.length) return input.putBack(piece.length - used);
    }
  } finally {
    inflate.destroy();
  }
}

/** Reads bytes in portions of any size. */
class Input {
  private bytes: Uint8Array = new Uint8Array();
  private at = 0;

  constructor(private readonly chunks: AsyncIterator<Uint8Array>) {}

  /** Some bytes, at most `max`; undefined at the end. */
  async next(max = Infinity): Promise<Uint8Array | undefined> {
    if (!(await this.has(1))) return undefined;
    const bytes = this.bytes.subarray(this.at, this.at + max);
    this.at += bytes.length;
    return bytes;
  }

  /** Takes back the end of what {@link next} gave last. */
  putBack(count: number): void {
    this.at -= count;
  }

  /** @throws UnreadableData if there are fewer bytes. */
  async take(count: number): Promise<Buffer> {
    if (!(await this.has(count))) throw damaged(TOO_EARLY);
    this.at += count;
    return Buffer.from(this.bytes.subarray(this.at - count, this.at));
  }

  /** The first two bytes, in hexadecimal; fewer if there are fewer. */
  async start(): Promise<string> {
    await this.has(2);
    return Buffer.from(this.bytes.subarray(this.at, this.at + 2)).toString('hex');
  }

  /** Skips the zeros that fill a block. @returns whether anything else comes. */
  async skipZeros(): Promise<boolean> {
    while (await this.has(1)) {
      if (this.bytes[this.at] !== 0) return true;
      this.at += 1;
    }
    return false;
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  private async has(count: number): Promise<boolean> {
    while (this.bytes.length - this.at < count) {
      const next = await this.chunks.next();
      if (next.done) return false;
      const rest = this.bytes.subarray(this.at);
      this.bytes = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
      this.at = 0;
    }
    return true;
  }
}
