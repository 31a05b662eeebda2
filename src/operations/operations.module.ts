import { Module } from '@nestjs/common';
import { CommandsModule } from '../commands/commands.module.js';
import { SkipEventHandler } from './skip-event.js';

@Module({ imports: [CommandsModule], providers: [SkipEventHandler] })
export class OperationsModule {}
