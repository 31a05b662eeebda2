-- The catalogue as plain relational tables, which can be rebuilt from the log at any time. Created in the first schema
-- of the search path. *_search holds the text for search and sorting: without case, accents and ligatures. A row is
-- stale while an event of its author or book is parked.

create table authors (
  id          uuid        not null,
  name        text        not null,
  name_search text        not null,
  source_key  text,
  revision    bigint      not null,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  stale       boolean     not null default false
);

create table books (
  id           uuid        not null,
  title        text        not null,
  title_search text        not null,
  title_sort   text        not null,
  filed_as     text,
  source_key   text,
  revision     bigint      not null,
  created_at   timestamptz not null,
  updated_at   timestamptz not null,
  stale        boolean     not null default false
);

create table author_book (
  author_id   uuid        not null,
  book_id     uuid        not null,
  position    integer     not null,
  roles       text[]      not null,
  credited_as text,
  linked_at   timestamptz not null,
  linked_by   text        not null,
  event_id    uuid        not null
);

-- State that the projection needs in addition to the three tables.

-- Links of live books to authors without a row, because the removal of the author raced the link. These links wait
-- until the author is restored or the book unlinks the author.
create table waiting_links (like author_book);

-- Removed authors and books: to answer 410 instead of 404, and to keep created_at for a later restore.
create table removed (
  kind       text        not null, -- author or book
  id         uuid        not null,
  revision   bigint      not null,
  created_at timestamptz not null,
  removed_at timestamptz not null
);
