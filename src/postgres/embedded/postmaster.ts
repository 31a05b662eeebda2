import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The port in `postmaster.pid` if the process that wrote it lives. */
export function runningPort(folder: string): number | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
    const pid = Number(lines[0]);
    process.kill(pid, 0);
    // Killed, and not yet buried by its parent: Linux still takes signals for it.
    if (/\) Z/.test(processState(pid))) return undefined;
  } catch (error) {
    // EPERM: it lives and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    lines = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
  }
  return Number(lines[3]) || undefined;
}

function processState(pid: number): string {
  const file = `/proc/${pid}/stat`;
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** What the server said last: an error and its hint. */
export function lastLogLines(folder: string): string[] {
  const file = join(folder, 'server.log');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-2) : ['it left no log'];
}
