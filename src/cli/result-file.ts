import { fstatSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { OperatorError } from '../errors.js';

const FLUSH_AT = 65_536;
const STDIN = 0;

/** A file that takes a line of JSON for every line of an import. If it can't be written, the import goes on. */
export class ResultFile {
  private text = '';
  private failure: Error | undefined;

  private constructor(private readonly file: FileHandle) {}

  /**
   * Replaces the file, if it is there.
   * @param input the file to import, which must be another; `-` for standard input.
   */
  static async create(path: string, input: string): Promise<ResultFile> {
    const statOf = (name: string) => statSync(name, { bigint: true, throwIfNoEntry: false });
    const old = statOf(path);
    const read = input === '-' ? fstatSync(STDIN, { bigint: true }) : statOf(input);
    if (old?.isFile() && old.ino === read?.ino && old.dev === read.dev)
      throw new OperatorError(`${path} is the file to import, so the results can't be written there`);
    return new ResultFile(await open(path, 'w'));
  }

  async write(line: string): Promise<void> {
    this.text += line;
    if (this.text.length >= FLUSH_AT) await this.flush();
  }

  /** @throws what kept the file from being written. */
  async close(): Promise<void> {
    await this.flush();
    await this.file.close();
    if (this.failure) throw this.failure;
  }

  private async flush(): Promise<void> {
    const { text } = this;
    this.text = '';
    if (this.failure || text === '') return;
    await this.file.appendFile(text).catch((error: unknown) => (this.failure = error as Error));
  }
}
