import { Module } from '@nestjs/common';
import { CommandHandling } from './handle-command.js';

/** Load, fold, decide, append: the path that every command takes. */
@Module({ providers: [CommandHandling], exports: [CommandHandling] })
export class CommandsModule {}
