import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { AsOf } from '../../src/http/as-of.js';
import { Past } from './as-of.js';
import { ReadModel } from './read-model.js';
import { toAuthor, type AuthorView } from './views.js';

export class GetAuthor extends Query<AuthorView> {
  constructor(
    readonly id: string,
    readonly includeBooks: boolean,
    readonly asOf?: AsOf,
  ) {
    super();
  }
}

@QueryHandler(GetAuthor)
export class GetAuthorHandler implements IQueryHandler<GetAuthor> {
  constructor(
    private readonly readModel: ReadModel,
    private readonly past: Past,
  ) {}

  async execute({ id, includeBooks, asOf }: GetAuthor): Promise<AuthorView> {
    if (asOf) return this.past.author(id, asOf);
    const loader = includeBooks ? this.readModel.authorWithBooks : this.readModel.author;
    const author = await loader.load(id);
    if (!author) throw await this.readModel.missing('author', id);
    return toAuthor(author);
  }
}
