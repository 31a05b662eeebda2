import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Moment } from '../../src/event-store/moment.js';
import { CatalogueAsOf } from './catalogue-as-of.js';
import { ReadModel } from './read-model.js';
import { toAuthor, type AuthorView } from './views.js';

export class GetAuthor extends Query<AuthorView> {
  constructor(
    readonly id: string,
    readonly includeBooks: boolean,
    readonly asOf?: Moment,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

@QueryHandler(GetAuthor)
export class GetAuthorHandler implements IQueryHandler<GetAuthor> {
  constructor(
    private readonly readModel: ReadModel,
    private readonly catalogueAsOf: CatalogueAsOf,
  ) {}

  async execute({ id, includeBooks, asOf, caller }: GetAuthor): Promise<AuthorView> {
    if (asOf) return this.catalogueAsOf.author(id, asOf, caller);
    const loader = includeBooks ? this.readModel.authorWithBooks : this.readModel.author;
    const author = await loader.load(id);
    if (!author) throw await this.readModel.missing('author', id);
    return toAuthor(author);
  }
}
