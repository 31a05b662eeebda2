import { Module } from '@nestjs/common';
import { CatalogueAsOf } from './catalogue-as-of.js';
import { CatalogueController } from './catalogue.controller.js';
import { GetAuthorHandler, GetAuthorTagHandler } from './get-author.js';
import { GetBookHandler, GetBookTagHandler } from './get-book.js';
import { ListAuthorsHandler } from './list-authors.js';
import { ListBooksHandler } from './list-books.js';
import { ListAuthorsOfBookHandler, ListBooksOfAuthorHandler } from './list-links.js';
import { ReadModel } from './read-model.js';

@Module({
  controllers: [CatalogueController],
  providers: [
    ReadModel,
    CatalogueAsOf,
    GetAuthorHandler,
    GetAuthorTagHandler,
    GetBookHandler,
    GetBookTagHandler,
    ListAuthorsHandler,
    ListBooksHandler,
    ListBooksOfAuthorHandler,
    ListAuthorsOfBookHandler,
  ],
})
export class CatalogueModule {}
