import '../support/on-eventstoredb.js';
import '../e2e/operations.e2e-spec.js';
