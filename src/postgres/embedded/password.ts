import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OperatorError } from '../../errors.js';

/** The password, created once per data folder. Only the owner can read the file. */
export function passwordOf(dataDir: string): string {
  const file = join(dataDir, 'password');
  const fresh = `${file}.${randomUUID()}`;
  try {
    writeFileSync(fresh, randomBytes(18).toString('hex'), { mode: 0o600 });
    // Fails if the file exists, and never shows a half-written file.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new OperatorError(`DATA_DIR ${dataDir} isn't writable`, { cause: error });
  } finally {
    rmSync(fresh, { force: true });
  }
  return readFileSync(file, 'utf8');
}
