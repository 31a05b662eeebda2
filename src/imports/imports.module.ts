import { Module } from '@nestjs/common';
import { AuthorsModule } from '../authors/authors.module.js';
import { BooksModule } from '../books/books.module.js';
import { Importer } from './importer.js';
import { ImportsController } from './imports.controller.js';

@Module({ imports: [AuthorsModule, BooksModule], controllers: [ImportsController], providers: [Importer] })
export class ImportsModule {}
