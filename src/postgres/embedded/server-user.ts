import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The system user that runs the server. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL refuses to run as root. Where we are root, an existing unprivileged user runs it: `postgres` where there
 * is one, else `nobody`, which every Unix has. No user is created.
 * @returns undefined where this process's own user will do.
 */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const account = accounts.find(([user]) => user === name);
    if (account?.[2] && account[3]) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new Error('no unprivileged user (postgres or nobody) to run the embedded PostgreSQL as');
}

/** True where the user can enter every directory on the way to `path` and read what is there. */
export function canReach(user: ServerUser | undefined, path: string): boolean {
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$1" && ls .', 'sh', path], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  });
  return status === 0;
}
