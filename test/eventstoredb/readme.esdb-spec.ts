import '../support/on-eventstoredb.js';
import '../readme.e2e-spec.js';
