import { withResources } from './running.js';

/** Creates or updates the schemas, as every start does, then exits. */
export const migrateSchemas = (): Promise<void> => withResources(async () => undefined);
