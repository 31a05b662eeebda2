import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { ReadModel } from './read-model.js';
import { toAuthor, type AuthorView } from './views.js';

export class GetAuthor extends Query<AuthorView> {
  constructor(
    readonly id: string,
    readonly includeBooks: boolean,
  ) {
    super();
  }
}

@QueryHandler(GetAuthor)
export class GetAuthorHandler implements IQueryHandler<GetAuthor> {
  constructor(private readonly readModel: ReadModel) {}

  async execute({ id, includeBooks }: GetAuthor): Promise<AuthorView> {
    const loader = includeBooks ? this.readModel.authorWithBooks : this.readModel.author;
    const author = await loader.load(id);
    if (!author) throw await this.readModel.missing('author', id);
    return toAuthor(author);
  }
}
