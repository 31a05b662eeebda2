import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { LOG_LEVELS, type Config } from './config.js';

/** Nest's names of {@link LOG_LEVELS}, in the same order, after `silent`. */
const NEST_LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/**
 * Nest's logger at the configured level: text lines on a terminal, otherwise JSON. At `info`, Nest would tell of every
 * module and route, so `info` shows what `warn` shows.
 */
export function createLogger({ logLevel }: Pick<Config, 'logLevel'>): ConsoleLogger {
  const upTo = LOG_LEVELS.indexOf(logLevel === 'info' ? 'warn' : logLevel);
  const logLevels = NEST_LEVELS.slice(0, upTo);
  const terminal = process.stdout.isTTY === true;
  const logger = new ConsoleLogger({ logLevels, json: !terminal, colors: terminal });
  if (logLevels.length === 0) logger.setLogLevels([]);
  return logger;
}
