import type { Pool } from 'pg';
import { OperatorError } from '../../src/errors.js';
import type { EventStore, Position } from '../../src/event-store/event-store.js';
import type { Target } from '../checkpoint.js';

export type Phase =
  'reading' | 'loading' | 'indexing' | 'catching up' | 'verifying' | 'applying' | 'done' | 'failed';

/** The progress of a rebuild. */
export interface RebuildProgress {
  readonly phase: Phase;
  /** Events processed; in phase `indexing`, indexes built; in phase `applying`, rows written. */
  readonly done: number;
  /** The value of `done` at the end of the phase. */
  readonly total: number;
}

export interface RebuildOptions {
  /** Parks events that can't be applied, and goes on. Otherwise such events fail the verification. */
  readonly allowParked?: boolean | undefined;
  /** False leaves it to the leader to drop what only an older version had, and to make new indexes: see `isUnfinished`. */
  readonly finish?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Called when the work has to wait for a lock, with a list of the sessions that hold a table. */
  readonly onHeldUp?: (holders: string) => void;
  /** Called when the tables are what the log says. If it fails, the rebuild fails too, and the tables stay rebuilt. */
  readonly onApplied?: (report: RebuildReport) => Promise<void>;
  /** For tests: called before each phase. */
  readonly onPhase?: (phase: Phase, shadow: string) => Promise<void>;
}

/** The result of a rebuild. */
export interface RebuildReport {
  readonly events: number;
  readonly parked: number;
  readonly position: Position | undefined;
  /** Rows that differed and were written. */
  readonly rows: number;
}

/** The store that a rebuild reads, and the database that a rebuild writes. */
export interface RebuildContext {
  readonly target: Target;
  readonly store: EventStore;
  readonly pool: Pool;
  readonly connectionString: string;
}

/** Another session already does the same work. */
export class RebuildRunning extends OperatorError {}
