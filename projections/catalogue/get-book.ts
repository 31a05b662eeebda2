import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Moment } from '../../src/event-store/moment.js';
import { CatalogueAsOf } from './catalogue-as-of.js';
import { ReadModel } from './read-model.js';
import { toBook, type BookView } from './views.js';

export class GetBook extends Query<BookView> {
  constructor(
    readonly id: string,
    readonly includeAuthors: boolean,
    readonly asOf?: Moment,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

@QueryHandler(GetBook)
export class GetBookHandler implements IQueryHandler<GetBook> {
  constructor(
    private readonly readModel: ReadModel,
    private readonly catalogueAsOf: CatalogueAsOf,
  ) {}

  async execute({ id, includeAuthors, asOf, caller }: GetBook): Promise<BookView> {
    if (asOf) return this.catalogueAsOf.book(id, asOf, includeAuthors, caller);
    const loader = includeAuthors ? this.readModel.bookWithAuthors : this.readModel.book;
    const book = await loader.load(id);
    if (!book) throw await this.readModel.missing('book', id);
    return toBook(book);
  }
}
