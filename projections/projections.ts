import { Problem } from '../src/http/problem.js';
import type { Maintenance } from './maintenance.js';
import type { Projector } from './projector.js';

/** A projection of a running service: what keeps its tables up, and the operator's work on them. */
export interface RunningProjection {
  readonly projector: Projector;
  readonly maintenance: Maintenance;
}

/** The projections of a running service. */
export class Projections {
  constructor(readonly all: readonly RunningProjection[]) {}

  /** @throws Problem 404 if there is no projection of this name. */
  named(name: string): RunningProjection {
    const found = this.all.find(({ maintenance }) => maintenance.name === name);
    if (found) return found;
    const names = this.all.map(({ maintenance }) => maintenance.name).join(' and ');
    throw new Problem(404, 'projection-not-found', `There is no projection of this name, only ${names}.`);
  }
}
