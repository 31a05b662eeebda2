-- The catalogue as plain relational tables, rebuilt from the log at will. Created in whatever schema the search path
-- names first. *_search holds the text as it is searched and sorted: without case, accents and ligatures.

create table authors (
  id          uuid        not null primary key,
  name        text        not null,
  name_search text        not null,
  revision    bigint      not null,
  created_at  timestamptz not null,
  updated_at  timestamptz not null
);

create table books (
  id           uuid        not null primary key,
  title        text        not null,
  title_search text        not null,
  revision     bigint      not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null
);

create table author_book (
  author_id   uuid        not null references authors (id),
  book_id     uuid        not null references books (id),
  position    integer     not null,
  roles       text[]      not null,
  credited_as text,
  linked_at   timestamptz not null,
  linked_by   text        not null,
  event_id    uuid        not null,
  primary key (author_id, book_id)
);

-- Lists are paged by these; a btree entry has room for 2,700 bytes, so texts are sorted by their first 200 characters.
create index authors_by_name on authors (left(name_search, 200) collate "C", id);
create index authors_by_creation on authors (created_at, id);
create index books_by_title on books (left(title_search, 200) collate "C", id);
create index books_by_creation on books (created_at, id);
create index author_book_by_book on author_book (book_id, position);

-- Substring search.
create index authors_name_trigrams on authors using gin (name_search gin_trgm_ops);
create index books_title_trigrams on books using gin (title_search gin_trgm_ops);

-- What the projection remembers beyond the three tables.

-- Links of live books to authors who are not there: the removal of an author raced a link. They wait for the author's
-- return, or for the book to unlink.
create table detached_links (like author_book, primary key (author_id, book_id));
create index detached_links_by_book on detached_links (book_id);

-- What was removed, to answer 410 instead of 404, and to know when it first came should it be restored.
create table removed (
  id         uuid        not null primary key,
  created_at timestamptz not null,
  removed_at timestamptz not null
);

create table checkpoint (
  projection text        not null primary key,
  version    integer     not null,
  -- The log that the tables are made from; positions mean nothing in another.
  log_id     uuid        not null,
  position   bigint,
  updated_at timestamptz not null default now()
);
