import '../support/on-eventstoredb.js';
import '../e2e/imports.e2e-spec.js';
