import { Progress } from './progress.js';
import type { LineResult } from '../imports/importer.js';

/** A result as a line of JSON. */
export const lineOf = ({ position: _, ...shown }: LineResult): string => `${JSON.stringify(shown)}\n`;

/** Shows a person an import's progress on standard error, and results on standard output. */
export class ImportReport {
  failed = 0;
  private readonly counts = { added: 0, changed: 0, unchanged: 0 };
  private readonly progress: Progress;
  private bytes = 0;

  /** @param size of the input in bytes, if known: progress is measured by the bytes read, before they are inflated. */
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
    if (this.everyResult || result.status === 'failed') process.stdout.write(lineOf(result));
    this.progress.update(this.bytes, this.lines);
  }

  /** @param then what became of the lines. */
  end(then: string): void {
    const seconds = this.progress.end(this.bytes, this.lines);
    const { added, changed, unchanged } = this.counts;
    process.stderr.write(
      `${this.lines} lines in ${seconds} s: ${added} added, ${changed} changed, ${unchanged} unchanged, ` +
        `${this.failed} failed; ${then}\n`,
    );
  }

  private get lines(): number {
    return this.counts.added + this.counts.changed + this.counts.unchanged + this.failed;
  }
}
