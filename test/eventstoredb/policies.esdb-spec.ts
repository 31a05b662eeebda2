import '../support/on-eventstoredb.js';
import '../e2e/policies.e2e-spec.js';
