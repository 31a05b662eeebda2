import { constants } from 'node:os';
import { hideSecrets } from './secrets.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** npm passes Ctrl-C on to a process that already got it from the terminal. Within this time, both are one signal. */
const SAME_SIGNAL_MS = 500;

/** A signal told the program to stop. */
export class Interrupted extends Error {
  /** As a shell reports a program that the signal ended: 130, 143 or 129. */
  readonly exitCode: number;

  constructor(signal: (typeof SIGNALS)[number]) {
    super(`stopped by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** Tells of an error that nobody caught. */
export type Tell = (what: string, error: unknown) => void;

/**
 * What the service and the command line do alike about their process:
 *
 * - The first signal aborts, with {@link Interrupted} as the reason. The program then closes what it opened. A second
 *   signal ends the process at once.
 * - A reader of the output may leave, as `head` does. The program goes on, and its output is lost.
 * - A rejected promise that nobody listens to is told, and the program goes on: the work behind the promise has failed,
 *   and nothing else has.
 * - An exception that nobody caught aborts. The code that threw was left halfway, so nobody knows what state it left.
 *
 * @returns aborts when the program must stop. The reason is an {@link Interrupted}, or the exception.
 */
export function beginProgram(tell: Tell): AbortController {
  const stop = new AbortController();
  let since: number | undefined;
  for (const signal of SIGNALS)
    process.on(signal, () => {
      since ??= performance.now();
      const interrupted = new Interrupted(signal);
      if (performance.now() - since > SAME_SIGNAL_MS) process.exit(interrupted.exitCode);
      stop.abort(interrupted);
    });

  let unheard = 0;
  process.on('unhandledRejection', (reason) => {
    unheard += 1;
    tell(`unhandled rejection, number ${unheard} of this process`, reason);
  });
  process.on('uncaughtException', (error) => {
    tell('uncaught exception, the program stops', error);
    stop.abort(error);
  });

  let told = false;
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (told || readerLeft(error)) return;
      told = true;
      process.exitCode = 1;
      process.stderr.write(`colophon: can't write the output: ${error.message}\n`);
    });
  return stop;
}

export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

/** Whether output failed because the reader of the pipe left, or the terminal was closed. */
export const readerLeft = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'EPIPE' || (code === 'EIO' && process.stdout.isTTY);

/**
 * Hides passwords in whatever is written to the stream, by us, by a library or by Node.
 * @returns writes a text as it is.
 */
export function hideSecretsIn(stream: NodeJS.WriteStream): (text: string) => void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const hiding = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? hideSecrets(chunk) : chunk, ...rest);
  stream.write = hiding;
  return (text) => void write(text);
}
