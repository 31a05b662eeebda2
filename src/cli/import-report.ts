import { Progress } from './progress.js';
import type { LineResult } from '../imports/importer.js';

/** Tells a person how an import goes. Progress goes to standard error, results to standard output. */
export class ImportReport {
  failed = 0;
  private readonly counts = { added: 0, changed: 0, unchanged: 0 };
  private readonly progress: Progress;
  private bytes = 0;

  /** @param size of the input in bytes, where it is known: progress is measured by what was read. */
  constructor(
    size: number | undefined,
    private readonly everyResult: boolean,
  ) {
    this.progress = new Progress(size, 'lines');
  }

  /** Passes the input on, counting. */
  async *measure(input: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of input) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }

  take(result: LineResult): void {
    if (result.status === 'failed') this.failed += 1;
    else this.counts[result.status] += 1;
    const { position: _, ...shown } = result;
    if (this.everyResult || result.status === 'failed') process.stdout.write(`${JSON.stringify(shown)}\n`);
    this.progress.update(this.bytes, this.lines);
  }

  /** @param visible whether the tables show everything. */
  end(visible: boolean): void {
    const seconds = this.progress.end(this.bytes, this.lines);
    const { added, changed, unchanged } = this.counts;
    process.stderr.write(
      `${this.lines} lines in ${seconds} s: ${added} added, ${changed} changed, ${unchanged} unchanged, ` +
        `${this.failed} failed; ${visible ? 'all of it is in the tables' : 'the tables are still behind'}\n`,
    );
  }

  private get lines(): number {
    return this.counts.added + this.counts.changed + this.counts.unchanged + this.failed;
  }
}
