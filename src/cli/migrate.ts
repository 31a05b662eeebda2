import { withResources } from './running.js';

/** Creates or updates the schemas, which every start does, and ends. */
export const migrateSchemas = (): Promise<void> => withResources(async () => undefined);
