import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Moment } from '../../src/event-store/moment.js';
import { CatalogueAsOf } from './catalogue-as-of.js';
import { ReadModel } from './read-model.js';
import { represent, tagOf, type Representation } from './representation.js';
import type { BookView } from './views.js';

export class GetBook extends Query<Representation<BookView>> {
  constructor(
    readonly id: string,
    readonly includeAuthors: boolean,
    readonly asOf?: Moment,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

/** The entity tag of an answer without inclusions; undefined if there is no such book. */
export class GetBookTag extends Query<string | undefined> {
  constructor(readonly id: string) {
    super();
  }
}

@QueryHandler(GetBook)
export class GetBookHandler implements IQueryHandler<GetBook> {
  constructor(
    private readonly readModel: ReadModel,
    private readonly catalogueAsOf: CatalogueAsOf,
  ) {}

  async execute({ id, includeAuthors, asOf, caller }: GetBook): Promise<Representation<BookView>> {
    if (asOf) {
      const view = await this.catalogueAsOf.book(id, asOf, includeAuthors, caller);
      return represent(view, JSON.stringify(view), includeAuthors);
    }
    const loader = includeAuthors ? this.readModel.bookWithAuthors : this.readModel.book;
    const book = await loader.load(id);
    if (!book) throw await this.readModel.missing('book', id);
    return represent(book, book.json, includeAuthors);
  }
}

@QueryHandler(GetBookTag)
export class GetBookTagHandler implements IQueryHandler<GetBookTag> {
  constructor(private readonly readModel: ReadModel) {}

  async execute({ id }: GetBookTag): Promise<string | undefined> {
    const shown = await this.readModel.bookShown.load(id);
    return shown && tagOf(shown);
  }
}
