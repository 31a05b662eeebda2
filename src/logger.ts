import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { LOG_LEVELS, type Config } from './config.js';

/** Nest's names of {@link LOG_LEVELS}, in the same order, after `silent`. */
const NEST_LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/**
 * Nest's logger at the configured level: text lines, or a JSON object a line. At `info`, Nest would tell of every module
 * and route, so `info` shows what `warn` shows.
 */
export function createLogger({ logLevel, logFormat }: Pick<Config, 'logLevel' | 'logFormat'>): ConsoleLogger {
  const upTo = LOG_LEVELS.indexOf(logLevel === 'info' ? 'warn' : logLevel);
  const logLevels = NEST_LEVELS.slice(0, upTo);
  const terminal = process.stdout.isTTY === true;
  const json = logFormat === undefined ? !terminal : logFormat === 'json';
  const logger = new LineLogger({ logLevels, json, flattenParams: true, colors: terminal && !json });
  if (logLevels.length === 0) logger.setLogLevels([]);
  return logger;
}

/** Nest's logger with the names of levels that `LOG_LEVEL` has, and with times that people can read. */
class LineLogger extends ConsoleLogger {
  protected override stringifyJsonLogObject({ level, timestamp, ...rest }: Record<string, unknown>): string {
    const name = LOG_LEVELS[NEST_LEVELS.indexOf(level as LogLevel) + 1];
    const time = new Date(timestamp as number).toISOString();
    return super.stringifyJsonLogObject({ level: name, time, ...rest });
  }
}
