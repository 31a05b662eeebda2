import { Logger } from '@nestjs/common';

// What the code under test logs of the faults it is put through would bury what the tests say.
Logger.overrideLogger(false);
