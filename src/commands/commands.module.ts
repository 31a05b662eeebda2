import { Module } from '@nestjs/common';
import { Commands } from './commands.js';
import { CommandHandling } from './handle-command.js';

/** Load, fold, decide, append: the path that every command takes. */
@Module({ providers: [Commands, CommandHandling], exports: [Commands, CommandHandling] })
export class CommandsModule {}
