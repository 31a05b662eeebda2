import { Module } from '@nestjs/common';
import { AuthorsModule } from '../authors/authors.module.js';
import { CommandsModule } from '../commands/commands.module.js';
import { CommandAnswers } from '../http/command-answer.js';
import { AddBookHandler } from './add-book.js';
import { BooksController } from './books.controller.js';
import { Books } from './books.js';
import { LinkAuthorHandler } from './link-author.js';
import { RemoveBookHandler } from './remove-book.js';
import { ReorderAuthorsHandler } from './reorder-authors.js';
import { RestoreBookHandler } from './restore-book.js';
import { RetitleBookHandler } from './retitle-book.js';
import { UnlinkAuthorHandler } from './unlink-author.js';

@Module({
  imports: [CommandsModule, AuthorsModule],
  controllers: [BooksController],
  providers: [
    Books,
    CommandAnswers,
    AddBookHandler,
    RetitleBookHandler,
    RemoveBookHandler,
    RestoreBookHandler,
    LinkAuthorHandler,
    UnlinkAuthorHandler,
    ReorderAuthorsHandler,
  ],
  exports: [Books],
})
export class BooksModule {}
