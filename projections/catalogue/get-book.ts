import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { ReadModel } from './read-model.js';
import { toBook, type BookView } from './views.js';

export class GetBook extends Query<BookView> {
  constructor(
    readonly id: string,
    readonly includeAuthors: boolean,
  ) {
    super();
  }
}

@QueryHandler(GetBook)
export class GetBookHandler implements IQueryHandler<GetBook> {
  constructor(private readonly readModel: ReadModel) {}

  async execute({ id, includeAuthors }: GetBook): Promise<BookView> {
    const loader = includeAuthors ? this.readModel.bookWithAuthors : this.readModel.book;
    const book = await loader.load(id);
    if (!book) throw await this.readModel.missing('book', id);
    return toBook(book);
  }
}
