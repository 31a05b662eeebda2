import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The port in `postmaster.pid`, if the process that wrote the file is alive. */
export function runningPort(folder: string): number | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    process.kill(pid, 0);
    // A zombie: killed, but not yet reaped by its parent. Linux still accepts signals to a zombie.
    if (/\) Z/.test(processState(pid))) return undefined;
  } catch (error) {
    // EPERM: the process is alive and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
  }
  return Number(lines[3]) || undefined;
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
