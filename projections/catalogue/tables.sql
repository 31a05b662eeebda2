-- The catalogue as plain relational tables, rebuilt from the log at will. Created in whatever schema the search path
-- names first. *_search holds the text as it is searched and sorted: without case, accents and ligatures. A row is stale
-- while an event of its author or book is parked.

create table authors (
  id          uuid        not null,
  name        text        not null,
  name_search text        not null,
  revision    bigint      not null,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  stale       boolean     not null default false
);

create table books (
  id           uuid        not null,
  title        text        not null,
  title_search text        not null,
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

-- What the projection remembers beyond the three tables.

-- Links of live books to authors who are not there: the removal of an author raced a link. They wait for the author's
-- return, or for the book to unlink.
create table detached_links (like author_book);

-- What was removed, to answer 410 instead of 404, and to know when it first came should it be restored.
create table removed (
  kind       text        not null, -- author or book
  id         uuid        not null,
  revision   bigint      not null,
  created_at timestamptz not null,
  removed_at timestamptz not null
);
