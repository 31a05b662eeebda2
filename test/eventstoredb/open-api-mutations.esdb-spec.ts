import '../support/on-eventstoredb.js';
import '../e2e/open-api-mutations.e2e-spec.js';
