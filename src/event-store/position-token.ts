import type { Position } from './event-store.js';

const MAX_POSITION = 2n ** 63n - 1n;

/**
 * Positions of one log as clients see them: the number, and the beginning of the log's id. The id's part lets us
 * reject a token of another log.
 */
export class PositionTokens {
  private readonly mark: string;

  /** @param logId the UUID of the log, as `EventStore.logId` gives it. */
  constructor(logId: string) {
    this.mark = logId.slice(0, 8);
  }

  format(position: Position): string {
    return `${position}.${this.mark}`;
  }

  /** @returns undefined if the text is no position token of this log. */
  parse(token: string): Position | undefined {
    const [, position, mark] = /^(0|[1-9]\d{0,18})\.([\da-f]{8})$/.exec(token) ?? [];
    const parsed = BigInt(position ?? -1);
    return mark === this.mark && parsed >= 0n && parsed <= MAX_POSITION ? parsed : undefined;
  }
}
