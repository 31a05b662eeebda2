import { Module } from '@nestjs/common';
import { CommandsModule } from '../commands/commands.module.js';
import { CommandAnswers } from '../http/command-answer.js';
import { AddAuthorHandler } from './add-author.js';
import { AuthorsController } from './authors.controller.js';
import { Authors } from './authors.js';
import { RemoveAuthorHandler } from './remove-author.js';
import { RenameAuthorHandler } from './rename-author.js';
import { RestoreAuthorHandler } from './restore-author.js';

@Module({
  imports: [CommandsModule],
  controllers: [AuthorsController],
  providers: [
    Authors,
    CommandAnswers,
    AddAuthorHandler,
    RenameAuthorHandler,
    RemoveAuthorHandler,
    RestoreAuthorHandler,
  ],
  exports: [Authors],
})
export class AuthorsModule {}
