import '../support/on-eventstoredb.js';
import '../e2e/idempotency.e2e-spec.js';
