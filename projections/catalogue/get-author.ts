import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import type { Moment } from '../../src/event-store/moment.js';
import { CatalogueAsOf } from './catalogue-as-of.js';
import { ReadModel } from './read-model.js';
import { represent, tagOf, type Representation } from './representation.js';
import type { AuthorView } from './views.js';

export class GetAuthor extends Query<Representation<AuthorView>> {
  constructor(
    readonly id: string,
    readonly includeBooks: boolean,
    readonly asOf?: Moment,
    readonly caller?: AbortSignal,
  ) {
    super();
  }
}

/** The entity tag of an answer without inclusions; undefined if there is no such author. */
export class GetAuthorTag extends Query<string | undefined> {
  constructor(readonly id: string) {
    super();
  }
}

@QueryHandler(GetAuthor)
export class GetAuthorHandler implements IQueryHandler<GetAuthor> {
  constructor(
    private readonly readModel: ReadModel,
    private readonly catalogueAsOf: CatalogueAsOf,
  ) {}

  async execute({ id, includeBooks, asOf, caller }: GetAuthor): Promise<Representation<AuthorView>> {
    if (asOf) {
      const view = await this.catalogueAsOf.author(id, asOf, caller);
      return represent(view, JSON.stringify(view), includeBooks);
    }
    const loader = includeBooks ? this.readModel.authorWithBooks : this.readModel.author;
    const author = await loader.load(id);
    if (!author) throw await this.readModel.missing('author', id);
    return represent(author, author.json, includeBooks);
  }
}

@QueryHandler(GetAuthorTag)
export class GetAuthorTagHandler implements IQueryHandler<GetAuthorTag> {
  constructor(private readonly readModel: ReadModel) {}

  async execute({ id }: GetAuthorTag): Promise<string | undefined> {
    const shown = await this.readModel.authorShown.load(id);
    return shown && tagOf(shown);
  }
}
