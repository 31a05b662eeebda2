import { Module } from '@nestjs/common';
import { CommandsModule } from '../commands/commands.module.js';
import { CommandAnswers } from '../http/command-answer.js';
import { AddAuthorHandler } from './add-author.js';
import { AuthorsController } from './authors.controller.js';
import { Authors } from './authors.js';
import { MergeAuthorHandler } from './merge-author.js';
import { Previews } from './preview.js';
import { RemoveAuthorHandler } from './remove-author.js';
import { RenameAuthorHandler } from './rename-author.js';
import { RestoreAuthorHandler } from './restore-author.js';

@Module({
  imports: [CommandsModule],
  controllers: [AuthorsController],
  providers: [
    Authors,
    CommandAnswers,
    Previews,
    AddAuthorHandler,
    RenameAuthorHandler,
    RemoveAuthorHandler,
    MergeAuthorHandler,
    RestoreAuthorHandler,
  ],
  exports: [Authors],
})
export class AuthorsModule {}
