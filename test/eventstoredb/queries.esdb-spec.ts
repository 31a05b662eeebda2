import '../support/on-eventstoredb.js';
import '../e2e/queries.e2e-spec.js';
