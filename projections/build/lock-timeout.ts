/** Whether a lock could not be had in time, by a timeout or a deadlock. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === '55P03' || error.code === '40P01');
