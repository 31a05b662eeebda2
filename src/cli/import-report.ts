import { Progress } from './progress.js';
import type { LineResult } from '../imports/importer.js';

/** Shows a person an import's progress on standard error, and results on standard output. */
export class ImportReport {
  failed = 0;
  private readonly counts = { added: 0, changed: 0, unchanged: 0 };
  private readonly progress: Progress;
  private bytes = 0;

  /** @param size of the input in bytes, if known: progress is measured by the bytes read. */
  constructor(
    size: number | undefined,
    private readonly everyResult: boolean,
  ) {
    this.progress = new Progress(size, 'lines');
  }

  /** Passes the input through, and counts its bytes. */
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

  /** @param visible whether the tables show the whole import. */
  end(visible: boolean): void {
    const seconds = this.progress.end(this.bytes, this.lines);
    const { added, changed, unchanged } = this.counts;
    process.stderr.write(
      `${this.lines} lines in ${seconds} s: ${added} added, ${changed} changed, ${unchanged} unchanged, ` +
        `${this.failed} failed; ${visible ? 'the tables show all of them' : 'the tables are still behind'}\n`,
    );
  }

  private get lines(): number {
    return this.counts.added + this.counts.changed + this.counts.unchanged + this.failed;
  }
}
