import { Logger } from '@nestjs/common';
import type { Client } from 'pg';
import type { LinkedBooks } from '../changes/linked-books.js';
import {
  AnotherLog,
  EventStoreUnavailable,
  type EventStore,
  type RecordedEvent,
} from '../event-store/event-store.js';
import { pause } from '../event-store/pause.js';
import type { StreamSearch } from '../event-store/stream-search.js';
import { Follower, type FollowerOptions } from '../followers/follower.js';
import type { LeaderLock } from '../followers/leader-lock.js';
import { batchTaken } from '../signals.js';
import { Effects } from './effects.js';
import { GivenUp, Patience } from './patience.js';
import type { Checkpoint, OpenTask, PolicyTables } from './policy-tables.js';
import { Survivors } from './survivors.js';
import { linkedIn, takeIn, TRIGGERS } from './take-in.js';
import { TaskRun, type Tools } from './task-run.js';

/** What policies need of the rest of the service. */
export interface Surroundings {
  readonly store: EventStore;
  readonly streams: StreamSearch;
  readonly books: LinkedBooks;
  /** Whether the tables of the catalogue follow this very log. Then policies that followed another one begin anew. */
  readonly isAccepted: () => Promise<boolean>;
}

/** Tasks that are worked on at a time. */
const MOST_TASKS = 4;
/** Shortest time between two batches at the head of the log. Fewer and larger batches cost less. */
const GATHER_MS = 25;
/** An operator may have put a task back. */
const LOOK_MS = 1_000;
/** A subscription that is silent for so long, although the log goes on, begins anew. */
const STILL_MS = 15_000;
const STILL_LOOK_MS = 2_500;
/** How often the worker looks whether the log was taken in. */
const TAKEN_IN_MS = 10;

/**
 * Carries out what an event means for other streams: the books of a removed or merged author, the streams of a reverted
 * change. The leader takes in the log and works off the tasks, several at a time, in the order of their causes.
 *
 * Each stream is read, decided about and written by itself, with event ids that follow from cause, stream and revision. So
 * a task may be carried out again at any time, by any process: what is done already is not done twice.
 */
export class Policies {
  private readonly logger: Logger;
  private readonly follower: Follower;
  private log = '';
  /** Whether the log that was there before policies is being looked through. */
  private begins = false;
  private checkpoint: Checkpoint | undefined;
  private patience: Patience | undefined;
  private wake: () => void = () => undefined;

  constructor(
    private readonly surroundings: Surroundings,
    private readonly tables: PolicyTables,
    options: FollowerOptions,
  ) {
    const name = `policies ${tables.schema}`;
    this.logger = new Logger(name);
    this.follower = new Follower(
      {
        name,
        prepare: (client) => this.prepare(client),
        lead: (client, signal) => this.lead(client, signal),
        place: () => `after position ${this.checkpoint?.position ?? 'none'}`,
      },
      options,
    );
  }

  /** Creates the tables if they are missing, and starts. */
  async start(): Promise<void> {
    this.log = await this.surroundings.store.logId();
    await this.tables.ensure();
    this.follower.start();
  }

  async close(): Promise<void> {
    await this.follower.close();
  }

  /** Whether this process is the leader. */
  get active(): boolean {
    return this.follower.active;
  }

  /** What policies wait for, or what stops them; undefined if nothing does. */
  get trouble(): { readonly message: string; readonly since: Date } | undefined {
    return this.follower.error ?? this.patience?.trouble;
  }

  /** How far policies have followed the log, and this process's part. */
  async status() {
    const found = await this.tables.checkpoint();
    const { active } = this;
    const { message: error, since: errorSince } = this.trouble ?? {};
    // Positions of another log mean nothing here.
    return { position: found?.log === this.log ? found.position : undefined, active, error, errorSince };
  }

  /**
   * Lets policies begin anew if they followed another log, or if the log went back, and the tables follow the log as it is.
   * @throws AnotherLog
   */
  private async prepare(client: Client): Promise<LeaderLock | Error | undefined> {
    const lock: LeaderLock = { name: `colophon policies ${this.tables.schema}`, version: 1 };
    const { store, isAccepted } = this.surroundings;
    const found = await this.tables.checkpoint(client);
    if (!found) return lock;
    const finding = await this.compare(found, store).catch((error: unknown) => {
      // A leader waits for a store that is away, and checks then.
      if (error instanceof EventStoreUnavailable) return undefined;
      throw error;
    });
    return finding === undefined || (await isAccepted()) ? lock : finding;
  }

  /** @returns why policies can't go on in this log. */
  private async compare(found: Checkpoint, store: EventStore): Promise<Error | undefined> {
    const log = await store.logId();
    if (log !== this.log) throw AnotherLog.named(log, this.log);
    if (found.log !== log)
      return new Error(`the policies in schema ${this.tables.schema} followed another log`);
    const { position, eventId } = found;
    if (position === undefined || eventId === undefined || (await store.holds(position, eventId)))
      return undefined;
    return AnotherLog.withoutEvent(position, eventId);
  }

  private async lead(client: Client, lost: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const signal = AbortSignal.any([lost, ended.signal]);
    // The tables can begin anew, so a crash may lose the last transactions: first the progress, then what led to it.
    this.checkpoint = await this.follower.prepared(async () => {
      await client.query('set synchronous_commit = off');
      return this.begin(client);
    });
    this.patience = new Patience(signal, this.logger);
    const both = [this.follow(client, signal), this.work(this.patience, signal), this.watch(signal)];
    try {
      await Promise.race(both);
    } finally {
      ended.abort();
      await Promise.allSettled(both);
      this.patience = undefined;
    }
  }

  /** The checkpoint; a new one if there is none, or if it can't be of this log. */
  private async begin(client: Client): Promise<Checkpoint> {
    const { store } = this.surroundings;
    const found = await this.tables.checkpoint(client);
    if (found && (await this.compare(found, store)) === undefined) return found;
    if (found) this.logger.log('the tables follow another log than policies did: policies begin anew');
    return this.tables.begin(client, this.log, (await store.head()) ?? 0n);
  }

  private async follow(client: Client, signal: AbortSignal): Promise<void> {
    const { store } = this.surroundings;
    const { position: from, linksFrom: to = 0n } = this.checkpoint ?? {};
    // Of the log that was there before policies, only few events matter: the tasks look for links themselves. A store may
    // read all of it before the first one is found, so it must be able to stop.
    if ((from ?? 0n) < to) {
      this.begins = true;
      try {
        for await (const events of store.readAll({ from, to, types: TRIGGERS, caller: signal }))
          await this.take(client, events, events.at(-1));
        for await (const [last] of store.readAt([to])) await this.take(client, [], last);
      } finally {
        this.begins = false;
      }
    }
    const { position, eventId } = this.checkpoint ?? {};
    for await (const { events, caughtUp } of store.subscribe(position, signal, eventId)) {
      const began = performance.now();
      await this.take(client, events, events.at(-1));
      if (caughtUp) await pause(began + GATHER_MS - performance.now(), signal);
    }
  }

  /** Takes in events, up to the given one; nothing if there is none. */
  private async take(
    client: Client,
    events: readonly RecordedEvent[],
    to: RecordedEvent | undefined,
  ): Promise<void> {
    const began = performance.now();
    this.checkpoint = await this.follower.step(async () => {
      const from = this.checkpoint;
      if (!from || !to) return from;
      const linked = linkedIn(events);
      const gone = linked.length > 0 ? await this.tables.goneAmong(client, linked) : [];
      const taken = takeIn(events, gone);
      const moved = await this.tables.take(client, from, to, taken);
      if (taken.tasks.length > 0) this.wake();
      return moved;
    });
    const seconds = (performance.now() - began) / 1_000;
    batchTaken.tell({ follower: 'policies', events: events.length, seconds });
  }

  /** Works off open tasks. Ends when the signal aborts and each task has settled. */
  private async work(patience: Patience, signal: AbortSignal): Promise<void> {
    const { store, streams, books } = this.surroundings;
    const effects = new Effects(store, patience);
    const tools: Tools = {
      store,
      tables: this.tables,
      streams,
      books,
      patience,
      effects,
      survivors: new Survivors(store, patience, effects),
      logger: this.logger,
      takenIn: async (position) => {
        while ((this.checkpoint?.position ?? -1n) < position) {
          if (signal.aborted) throw new GivenUp();
          await pause(TAKEN_IN_MS, signal);
        }
      },
    };
    // Whoever led before may have carried out a task whose end is not known here.
    const head = (await patience.until(() => store.head())) ?? 0n;
    const running = new Map<string, Promise<void>>();
    let failure: { readonly error: unknown } | undefined;
    signal.addEventListener('abort', () => this.wake(), { once: true });
    try {
      while (!signal.aborted) {
        const woken = new AbortController();
        this.wake = () => woken.abort();
        for (const task of await patience.until(() => this.tables.open(2 * MOST_TASKS))) {
          const key = keyOf(task);
          if (running.size >= MOST_TASKS || running.has(key)) continue;
          const run = async () => {
            await new TaskRun(tools, task, task.cause <= head)
              .run()
              .catch((error: unknown) => (failure ??= { error }));
            running.delete(key);
            this.wake();
          };
          running.set(key, run());
        }
        if (!failure) await pause(LOOK_MS, woken.signal);
        if (failure) throw failure.error;
      }
    } finally {
      await Promise.all(running.values());
    }
  }

  /** Begins anew if the log goes on and nothing of it arrives, although no error says why. */
  private async watch(signal: AbortSignal): Promise<void> {
    let seen = this.checkpoint?.position;
    let since = performance.now();
    for (; !signal.aborted; await pause(STILL_LOOK_MS, signal)) {
      const head = await this.surroundings.store.head().catch(() => undefined);
      const position = this.checkpoint?.position;
      const waits = !this.begins && !this.follower.busy;
      const behind = head !== undefined && (position ?? -1n) < head && waits;
      if (!behind || position !== seen) [seen, since] = [position, performance.now()];
      if (performance.now() - since > STILL_MS)
        throw new Error(`no event after position ${position ?? 'none'} reaches the policies`);
    }
  }
}

const keyOf = ({ cause, position, stream }: OpenTask): string => `${cause} ${position} ${stream}`;
