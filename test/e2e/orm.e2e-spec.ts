import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Column,
  DataSource,
  Entity,
  JoinTable,
  ManyToMany,
  PrimaryColumn,
  type DataSource as Connection,
} from 'typeorm';
import { caughtUp } from '../support/catalogue.js';
import { ROOT } from '../support/process.js';
import { createService, type TestService } from '../support/service.js';

@Entity('authors')
class Author {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') name!: string;
  @ManyToMany(() => Book, (book) => book.authors)
  books!: Book[];
}

@Entity('books')
class Book {
  @PrimaryColumn('uuid') id!: string;
  @Column('text') title!: string;
  @ManyToMany(() => Author, (author) => author.books)
  @JoinTable({
    name: 'author_book',
    joinColumn: { name: 'book_id' },
    inverseJoinColumn: { name: 'author_id' },
  })
  authors!: Author[];
}

let service: TestService;
let orm: Connection;
beforeAll(async () => {
  service = await createService();
  await service.request('POST', '/imports', {
    raw: readFileSync(join(ROOT, 'samples', 'classics.ndjson'), 'utf8'),
    headers: { 'content-type': 'application/x-ndjson' },
  });
  await caughtUp(service);
  orm = await new DataSource({
    type: 'postgres',
    url: service.database.url,
    schema: 'catalogue',
    entities: [Author, Book],
  }).initialize();
});
afterAll(async () => {
  await orm.destroy();
  await service.stop();
});

test('a textbook ORM mapping reads the tables as they are, from both sides', async () => {
  const [manifesto] = await orm.getRepository(Book).find({
    where: { title: 'The Communist Manifesto' },
    relations: { authors: true },
  });
  expect(manifesto?.authors.map((author) => author.name).toSorted()).toEqual([
    'Engels, Friedrich',
    'Marx, Karl',
    'Moore, Samuel',
  ]);
  const [dore] = await orm.getRepository(Author).find({
    where: { name: 'Doré, Gustave' },
    relations: { books: true },
  });
  expect(dore?.books.map((book) => book.title).toSorted()).toEqual([
    'Les Contes de Perrault',
    'The Ingenious Gentleman Don Quixote of La Mancha',
  ]);
  const homonyms = await orm.getRepository(Author).find({ where: { name: 'Dumas, Alexandre' } });
  expect(homonyms).toHaveLength(2);
});

test('the tables and their keys are those of a textbook many-to-many', async () => {
  const { kinds, keys } = (
    await orm.query(
      `select
         (select json_object_agg(relname, relkind) from pg_class
          where relnamespace = 'catalogue'::regnamespace and relname in ('authors', 'books', 'author_book')) as kinds,
         (select json_agg(conrelid::regclass || ' ' || pg_get_constraintdef(oid) order by contype, conname)
          from pg_constraint
          where contype = 'f' or contype = 'p' and conrelid in
            ('catalogue.authors'::regclass, 'catalogue.books'::regclass, 'catalogue.author_book'::regclass)) as keys`,
    )
  )[0] as { kinds: object; keys: string[] };
  // Ordinary tables.
  expect(kinds).toEqual({ authors: 'r', books: 'r', author_book: 'r' });
  // No other foreign key is in the database.
  expect(keys).toEqual([
    'catalogue.author_book FOREIGN KEY (author_id) REFERENCES catalogue.authors(id)',
    'catalogue.author_book FOREIGN KEY (book_id) REFERENCES catalogue.books(id)',
    'catalogue.author_book PRIMARY KEY (author_id, book_id)',
    'catalogue.authors PRIMARY KEY (id)',
    'catalogue.books PRIMARY KEY (id)',
  ]);
});
