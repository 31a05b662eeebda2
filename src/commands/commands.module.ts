import { Module } from '@nestjs/common';
import { CommandHandling } from './handle-command.js';

/** The way that every command takes. */
@Module({ providers: [CommandHandling], exports: [CommandHandling] })
export class CommandsModule {}
