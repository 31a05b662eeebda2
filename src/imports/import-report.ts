import { SingleBar, Presets } from 'cli-progress';
import type { LineResult } from './importer.js';

/** Between two progress lines where there is no terminal. */
const LINE_EVERY_MS = 5_000;

/**
 * Tells a person how an import goes: a bar with rate and time left on a terminal, a line now and then elsewhere, and
 * every line that failed. Progress goes to standard error, results to standard output.
 */
export class ImportReport {
  failed = 0;
  private readonly counts = { added: 0, changed: 0, unchanged: 0 };
  private readonly started = Date.now();
  private told = Date.now();
  private bytes = 0;
  private readonly bar: SingleBar | undefined;

  /** @param size of the input in bytes, where it is known: progress is measured by what was read. */
  constructor(
    private readonly size: number | undefined,
    private readonly everyResult: boolean,
  ) {
    if (process.stderr.isTTY !== true || size === undefined) return;
    this.bar = new SingleBar(
      { format: '{bar} {percentage} % · {lines} lines · {rate}/s · {eta_formatted} left', etaBuffer: 200 },
      Presets.shades_classic,
    );
    this.bar.start(size, 0, { lines: 0, rate: 0 });
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
    if (this.lines % 256 === 0) this.bar?.update(this.bytes, { lines: this.lines, rate: this.rate });
    if (!this.bar && Date.now() - this.told > LINE_EVERY_MS) {
      this.told = Date.now();
      const percent = this.size ? `${Math.floor((100 * this.bytes) / this.size)} %, ` : '';
      process.stderr.write(`${percent}${this.lines} lines, ${this.rate}/s\n`);
    }
  }

  /** @param visible whether the tables show everything. */
  end(visible: boolean): void {
    this.bar?.update(this.bytes, { lines: this.lines, rate: this.rate });
    this.bar?.stop();
    const { added, changed, unchanged } = this.counts;
    const seconds = ((Date.now() - this.started) / 1_000).toFixed(1);
    process.stderr.write(
      `${this.lines} lines in ${seconds} s: ${added} added, ${changed} changed, ${unchanged} unchanged, ` +
        `${this.failed} failed; ${visible ? 'all of it is in the tables' : 'the tables are still behind'}\n`,
    );
  }

  private get lines(): number {
    return this.counts.added + this.counts.changed + this.counts.unchanged + this.failed;
  }

  private get rate(): number {
    return Math.round((this.lines * 1_000) / Math.max(1, Date.now() - this.started));
  }
}
