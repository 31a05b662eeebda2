import '../support/on-eventstoredb.js';
import '../e2e/http.e2e-spec.js';
