import { Presets, SingleBar } from 'cli-progress';

/** Time between two lines if standard error is no terminal. */
const LINE_EVERY_MS = 5_000;
/** A signal ends the bar, so that the terminal breaks long lines again. */
const BAR = { etaBuffer: 200, gracefulExit: true };

/**
 * Shows a person the progress of long work, on standard error: on a terminal a bar with rate and time left, otherwise
 * a line every {@link LINE_EVERY_MS}.
 */
export class Progress {
  private readonly started = performance.now();
  private told = performance.now();
  private readonly bar: SingleBar | undefined;

  /**
   * @param total the final value of `done`, if known.
   * @param unit of the counted things, such as `events`; undefined if nothing is counted.
   */
  constructor(
    private readonly total: number | undefined,
    private readonly unit?: string,
  ) {
    if (process.stderr.isTTY !== true || total === undefined) return;
    const counted = unit ? ` · {count} ${unit} · {rate}/s` : '';
    const format = `{bar} {percentage} %${counted} · {eta_formatted} left`;
    this.bar = new SingleBar({ format, ...BAR }, Presets.shades_classic);
    this.bar.start(total, 0, { count: 0, rate: 0 });
  }

  /** Cheap enough to call for every single thing. */
  update(done: number, count: number): void {
    if (count % 256 === 0) this.bar?.update(done, { count, rate: this.rate(count) });
    if (this.bar || performance.now() - this.told < LINE_EVERY_MS) return;
    this.told = performance.now();
    const percent = this.total ? [`${Math.floor((100 * done) / this.total)} %`] : [];
    const counted = this.unit ? [`${count} ${this.unit}`, `${this.rate(count)}/s`] : [];
    process.stderr.write(`${[...percent, ...counted].join(', ')}\n`);
  }

  /** @returns the seconds since the start. */
  end(done: number, count: number): string {
    this.bar?.update(done, { count, rate: this.rate(count) });
    this.bar?.stop();
    return ((performance.now() - this.started) / 1_000).toFixed(1);
  }

  private rate(count: number): number {
    return Math.round((count * 1_000) / Math.max(1, performance.now() - this.started));
  }
}

/** Like {@link Progress}, for work in phases: each phase has a bar of its own. */
export class PhasedProgress {
  private readonly started = performance.now();
  private phase = '';
  private phaseStarted = 0;
  private told = 0;
  private bar: SingleBar | undefined;

  get seconds(): string {
    return ((performance.now() - this.started) / 1_000).toFixed(1);
  }

  update({ phase, done, total }: { phase: string; done: number; total: number }): void {
    if (phase !== this.phase) this.enter(phase);
    if (phase === 'done' || phase === 'failed') return;
    const rate = Math.round((done * 1_000) / Math.max(1, performance.now() - this.phaseStarted));
    if (process.stderr.isTTY === true) return this.draw(done, total, rate);
    if (performance.now() - this.told < LINE_EVERY_MS) return;
    this.told = performance.now();
    const left = done > 0 && total > done ? `, ${Math.round((total - done) / Math.max(1, rate))} s left` : '';
    const counted = total > 0 ? `: ${done} of ${total}, ${rate}/s${left}` : '';
    process.stderr.write(`${phase}${counted}\n`);
  }

  /** Prints a line, and ends the current bar. */
  say(line: string): void {
    this.bar?.stop();
    this.bar = undefined;
    process.stderr.write(`${line}\n`);
  }

  end(line: string): void {
    this.say(line);
  }

  private enter(phase: string): void {
    this.phase = phase;
    this.phaseStarted = performance.now();
    this.told = 0;
    this.bar?.stop();
    this.bar = undefined;
  }

  /** A phase with nothing to count needs no bar: the phase ends before anybody could read one. */
  private draw(done: number, total: number, rate: number): void {
    if (total === 0) return;
    const shown = { phase: this.phase.padEnd(11), done, of: total, rate };
    if (!this.bar) {
      const format = '{phase} {bar} {percentage} % · {done} of {of} · {rate}/s · {eta_formatted} left';
      this.bar = new SingleBar({ format, ...BAR }, Presets.shades_classic);
      this.bar.start(total, 0, shown);
    }
    this.bar.setTotal(total);
    this.bar.update(done, shown);
  }
}
