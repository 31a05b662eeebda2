import { Module } from '@nestjs/common';
import { CommandsModule } from '../commands/commands.module.js';
import { CommandAnswers } from '../http/command-answer.js';
import { Changes } from './changes.js';
import { RevertPreviews } from './preview.js';
import { RevertChangeHandler } from './revert-change.js';
import { RevertController } from './revert.controller.js';

@Module({
  imports: [CommandsModule],
  controllers: [RevertController],
  providers: [Changes, CommandAnswers, RevertChangeHandler, RevertPreviews],
  exports: [Changes, RevertPreviews],
})
export class ChangesModule {}
