import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { ReadModel } from './read-model.js';
import { toBook, toLinkedAuthor, type BookView } from './views.js';

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
    const [book, authors] = await Promise.all([
      this.readModel.book.load(id),
      includeAuthors ? this.readModel.authorsOf.load(id) : undefined,
    ]);
    if (!book) throw await this.readModel.missing('book', id);
    return toBook(book, authors?.map(toLinkedAuthor));
  }
}
