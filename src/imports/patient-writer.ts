import { randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Logger } from '@nestjs/common';

/** What may wait for a reader: characters in memory, then bytes in a file, which are the results of 8 million lines. */
const BOUNDS = { memory: 1_048_576, file: 1_073_741_824, folder: tmpdir() };
const READ_BYTES = 262_144;

/**
 * Writes to a reader that may begin to read late, without making the writer wait. Text that is not read yet waits in
 * memory, then in a temporary file. A client that sends a whole import before reading the first result would otherwise
 * wait for us, while we wait for the client.
 */
export class PatientWriter {
  /** The newest text. Older text is in the file, between `read` and `stored`. */
  private text = '';
  private file: FileHandle | undefined;
  private read = 0;
  private stored = 0;
  private moving: Promise<void> | undefined;
  private fileBound: number;
  private ended = false;
  private readonly sending: Promise<void>;
  private wakeSender = () => {};
  private wakeWriter = () => {};

  constructor(
    private readonly out: Writable,
    private readonly bounds = BOUNDS,
  ) {
    this.fileBound = bounds.file;
    out.once('close', () => {
      this.wakeSender();
      this.wakeWriter();
    });
    // If the reader leaves, `out` is destroyed, and nothing is left to do.
    this.sending = pipeline(this.chunks(), out).catch(() => undefined);
  }

  /** @returns a promise if the writer must wait: for the disk, or, with a full file, for the reader. */
  write(text: string): Promise<void> | undefined {
    this.text += text;
    this.wakeSender();
    return this.text.length < this.bounds.memory ? undefined : this.makeRoom();
  }

  /** Ends the output. Resolves when the reader has everything, or has left. */
  async end(): Promise<void> {
    this.ended = true;
    this.wakeSender();
    await this.sending;
  }

  /** Gives memory and disk back. */
  async close(): Promise<void> {
    await this.moving;
    await this.file?.close();
  }

  private async makeRoom(): Promise<void> {
    while (this.text.length >= this.bounds.memory && !this.out.destroyed)
      if (this.stored < this.fileBound) await (this.moving ??= this.move());
      else await new Promise<void>((resolve) => (this.wakeWriter = resolve));
  }

  /** Moves the text in memory to the end of the file. */
  private async move(): Promise<void> {
    const bytes = Buffer.from(this.text);
    this.text = '';
    try {
      this.file ??= await openNameless(this.bounds.folder);
      for (let done = 0; done < bytes.length;)
        done += (await this.file.write(bytes, done, bytes.length - done, this.stored + done)).bytesWritten;
      this.stored += bytes.length;
    } catch (error) {
      // The disk is full, or there is none to write to. From now on the writer waits for the reader.
      new Logger('imports').warn(
        `results can’t wait in a file for their reader: ${(error as Error).message}`,
      );
      this.text = bytes.toString() + this.text;
      this.fileBound = 0;
    } finally {
      this.moving = undefined;
      this.wakeSender();
    }
  }

  private async *chunks(): AsyncIterable<string | Buffer> {
    while (!this.out.destroyed) {
      while (this.moving) await this.moving;
      if (this.read < this.stored) yield await this.readBack();
      else if (this.text !== '') {
        const { text } = this;
        this.text = '';
        yield text;
      } else if (this.ended) return;
      else await new Promise<void>((resolve) => (this.wakeSender = resolve));
      this.wakeWriter();
    }
  }

  private async readBack(): Promise<Buffer> {
    const size = Math.min(READ_BYTES, this.stored - this.read);
    const chunk = Buffer.allocUnsafe(size);
    const { bytesRead } = (await this.file?.read(chunk, 0, size, this.read)) ?? { bytesRead: 0 };
    this.read += bytesRead;
    // All of the file is read: the next text is stored at its beginning.
    if (this.read === this.stored && !this.moving) this.read = this.stored = 0;
    return chunk.subarray(0, bytesRead);
  }
}

/** A file that only this process can see, and that is gone when the process ends, however it ends. */
async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `colophon-import-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return file;
}
