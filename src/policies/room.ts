/** Streams that are worked on at a time. One statement reads many, and one commit writes many. */
export const MOST_STREAMS = 64;
/** Bytes of histories that are held at a time. */
const MOST_BYTES = 32 * 1_048_576;

/**
 * Bounds the work on streams: their number, and the bytes of their histories. How large a history is shows only after the
 * read. Until then it counts as large as those before it.
 */
export class Room {
  private streams = 0;
  private bytes = 0;
  private expected = MOST_BYTES / MOST_STREAMS;
  private readonly waiting: (() => void)[] = [];

  /** @param work gets a function to call with the bytes that it holds. */
  async run<T>(work: (holds: (bytes: number) => void) => Promise<T>): Promise<T> {
    while (!this.hasRoom()) await new Promise<void>((enter) => this.waiting.push(enter));
    let held = this.expected;
    this.streams += 1;
    this.bytes += held;
    this.admit();
    try {
      return await work((bytes) => {
        this.bytes += bytes - held;
        held = bytes;
        this.expected = Math.max(bytes, (7 * this.expected + bytes) / 8);
      });
    } finally {
      this.streams -= 1;
      this.bytes -= held;
      this.admit();
    }
  }

  private hasRoom(): boolean {
    if (this.streams === 0) return true;
    return this.streams < MOST_STREAMS && this.bytes + this.expected <= MOST_BYTES;
  }

  private admit(): void {
    if (this.hasRoom()) this.waiting.shift()?.();
  }
}
