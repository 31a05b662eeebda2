import '../support/on-eventstoredb.js';
import '../e2e/open-api.e2e-spec.js';
