import '../support/on-eventstoredb.js';
import '../e2e/merging.e2e-spec.js';
