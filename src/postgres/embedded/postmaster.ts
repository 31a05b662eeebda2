import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A line of `postmaster.pid`, counted from 0. */
const PORT = 3;
const STATUS = 7;

/** The port in `postmaster.pid`, if the process that wrote the file is alive. */
export const runningPort = (folder: string): number | undefined =>
  Number(linesOfRunning(folder)?.[PORT]) || undefined;

export const isRunning = (folder: string): boolean => linesOfRunning(folder) !== undefined;

/** Whether the running server has begun to stop: it takes no more connections. */
export const isStopping = (folder: string): boolean =>
  linesOfRunning(folder)?.[STATUS]?.trim() === 'stopping';

/** The lines of `postmaster.pid`, if the process that wrote the file is alive. */
function linesOfRunning(folder: string): string[] | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  try {
    const pid = Number(lines[0]);
    process.kill(pid, 0);
    // A zombie: killed, but not yet reaped by its parent. Linux still accepts signals to a zombie.
    return /\) Z/.test(processState(pid)) ? undefined : lines;
  } catch (error) {
    // EPERM: the process is alive and belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? lines : undefined;
  }
}

function processState(pid: number): string {
  const file = `/proc/${pid}/stat`;
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** The last two lines of the server's log: an error and its hint. */
export function lastLogLines(folder: string): string[] {
  const file = join(folder, 'server.log');
  return existsSync(file)
    ? readFileSync(file, 'utf8').trim().split('\n').slice(-2)
    : ['the server left no log'];
}
