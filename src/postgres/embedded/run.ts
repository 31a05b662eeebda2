import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerUser } from './server-user.js';

/**
 * Runs a program of the server, in a session of its own. Ctrl-C in a terminal reaches every process of our session, and
 * a program that dies halfway leaves a server in an unknown state.
 * @throws Error with what the program said.
 */
export async function run(
  file: string,
  args: readonly string[],
  user: ServerUser | undefined,
  cwd: string,
): Promise<void> {
  const child = spawn(file, args, {
    ...user,
    cwd,
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(said.trim());
}
