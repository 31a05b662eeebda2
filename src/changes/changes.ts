import { Injectable } from '@nestjs/common';
import { EventSearch } from '../event-store/event-search.js';
import { EventStore, type Position, type RecordedEvent } from '../event-store/event-store.js';
import { unavailable } from '../http/problem.js';
import { flawOfChangeEvent, type ChangeEvent } from './change.events.js';
import { ChangeProgress } from './change-progress.js';
import type { KnownChange } from './change.js';
import { Reverts } from './reverts.js';

/** Policies take some ten milliseconds for the events of a command. */
const PATIENCE_MS = 2_000;

/** Tells what is known of changes, by the events that belong to them. */
@Injectable()
export class Changes {
  private readonly reverts: Reverts;

  constructor(
    private readonly store: EventStore,
    private readonly search: EventSearch,
    private readonly progress: ChangeProgress,
  ) {
    this.reverts = new Reverts(store);
  }

  /**
   * What a request to revert the change must know.
   * @returns undefined if no event belongs to the change.
   * @throws Problem 503 if the tables of changes or policies are behind, so that this is unknown.
   */
  async find(id: string): Promise<KnownChange | undefined> {
    const last = await this.lastPosition(id);
    if (last === undefined) return undefined;
    if (!(await this.progress.reached(last, PATIENCE_MS)))
      throw unavailable('Policies have not reached the end of the change yet: GET /policies shows more.');
    const revert = await this.reverts.of(id);
    const underWay = !(await this.progress.ended(id, last, 0));
    return { reverted: revert !== undefined && revert.position > last, underWay };
  }

  /** The id of the change that reverted this one, if that is in effect, and of the change that this one reverts. */
  async related(id: string): Promise<{ revertedBy: string | undefined; reverts: string | undefined }> {
    const revert = await this.reverts.of(id);
    const [begin] = await this.events(id, { types: ['ChangeReverted'], limit: 1 });
    const reverts =
      begin && begin.unreadable === undefined && flawOfChangeEvent(begin) === undefined
        ? (begin.data as ChangeEvent['data']).change
        : undefined;
    return { revertedBy: revert?.metadata.correlationId, reverts };
  }

  private async lastPosition(id: string): Promise<Position | undefined> {
    const reached = await this.search.reach();
    const found =
      reached && (await this.search.find({ change: id }, { ...reached, backward: true, limit: 1 }));
    const [last] = found?.positions ?? [];
    if (last === undefined && reached?.current === false)
      throw unavailable(
        'The tables of changes are behind the log, so it is unknown whether there is such a change.',
      );
    return last;
  }

  private async events(
    change: string,
    { types, limit }: { types: readonly string[]; limit: number },
  ): Promise<RecordedEvent[]> {
    const reached = await this.search.reach();
    if (!reached) return [];
    const { positions } = await this.search.find({ change, types }, { ...reached, limit });
    const events: RecordedEvent[] = [];
    for await (const batch of this.store.readAt(positions)) events.push(...batch);
    return events;
  }
}
