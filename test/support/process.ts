import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const ROOT = join(import.meta.dirname, '..', '..');

/** Makes a service tell of every promise that rejects unheard, instead of ending at the first. */
export const TELL_UNHEARD = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'unheard.mjs')).href}`,
};

/** Makes a program's clock wrong, until it gets SIGUSR2. */
export const clockShift = (milliseconds: number) => ({
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'clock.mjs')).href}`,
  CLOCK_SHIFT_MS: String(milliseconds),
});

/** Makes a program tell its vital signs at its end: see {@link vitalSignsOf}. Its heap is small. */
export const TELL_VITAL_SIGNS = {
  NODE_OPTIONS: `--max-old-space-size=384 --import=${pathToFileURL(join(import.meta.dirname, 'vital-signs.mjs')).href}`,
};

export interface VitalSigns {
  /** Promises that rejected unheard. */
  readonly unheard: number;
  /** Largest resident memory. */
  readonly peakMegabytes: number;
  /** Longest time that the event loop did not turn. On a noisy machine, the system may be what takes the time. */
  readonly longestDelayMs: number;
  /** Most processor time of the program while the event loop did not turn. */
  readonly busiestTurnMs: number;
}

/**
 * Bound of {@link VitalSigns.busiestTurnMs}. Not a time: noise of the machine lengthens no processor time. A program that
 * starts takes a tenth, and one quadratic text eight times as much.
 */
export const BUSIEST_TURN_MS = 5_000;

/** @throws if the program did not tell them, such as one that was killed. */
export function vitalSignsOf(output: string): VitalSigns {
  return JSON.parse(/^vital signs (.*)$/m.exec(output)?.[1] ?? '') as VitalSigns;
}

/** A Colophon program that was started, as built. */
export interface Running {
  readonly process: ChildProcess;
  readonly output: () => string;
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Only what the program should know: nothing of the environment the tests run in configures it by accident. */
export function environment(env: Record<string, string>): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, ...env };
}

// As `npm start` and `npx colophon`. Most objects live for one command, and V8 moves what still lives when its young
// generation is full. With 16 MB, an import spends a third of its time on that.
const NODE_OPTIONS = ['--max-semi-space-size=64', '--enable-source-maps'];

export function start(
  script: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd = ROOT,
): Running {
  const child = spawn(process.execPath, [...NODE_OPTIONS, join(ROOT, script), ...args], {
    cwd,
    env: environment(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  return { process: child, output: () => output, ended };
}

export interface RunningService extends Running {
  readonly url: string;
}

/** Starts the service and waits until it says where it serves. */
export async function startService(env: Record<string, string>): Promise<RunningService> {
  const running = start('dist/src/main.js', [], { PORT: '0', LOG_LEVEL: 'error', ...env });
  const url = await new Promise<string>((resolve, reject) => {
    running.process.stdout?.on('data', () => {
      const found = /serves at (\S+)/.exec(running.output())?.[1];
      if (found) resolve(found);
    });
    void running.ended.then((code) =>
      reject(new Error(`the service ended with ${code}: ${running.output()}`)),
    );
  });
  return { ...running, url };
}
