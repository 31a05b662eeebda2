-- The catalogue as plain relational tables, which can be rebuilt from the log at any time. Created in the first schema
-- of the search path. *_sort orders lists, and words holds what searches look at: see docs/tables.md. A row is stale
-- while an event of its author or book is parked.

create table authors (
  id         uuid             not null,
  name       text             not null,
  name_sort  text collate "C" not null,
  words      text collate "C" not null,
  source_key text,
  revision   bigint           not null,
  created_at timestamptz      not null,
  updated_at timestamptz      not null,
  stale      boolean          not null default false
);

create table books (
  id         uuid             not null,
  title      text             not null,
  title_sort text collate "C" not null,
  filed_as   text,
  source_key text,
  revision   bigint           not null,
  created_at timestamptz      not null,
  updated_at timestamptz      not null,
  stale      boolean          not null default false
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

-- What a search of books looks at: the words of title and printed credits, a bar, and the words of the authors' names.
-- The other columns are those of the book, because a search sorts all books that it finds: reading them from books took
-- four times as long.
create table book_words (
  book_id    uuid             not null,
  title_sort text collate "C" not null,
  created_at timestamptz      not null,
  words      text collate "C" not null
);

-- Where the id of a merged author leads.
create table author_redirects (
  author_id   uuid not null,
  into_id     uuid not null,
  -- The last author of the chain. Null while merges at the same time form a circle.
  survivor_id uuid
);

-- Live authors without a link to a live book, in the orders of lists: an index of authors can't know of links. A column
-- of authors would be written once more for each author that an import adds, with all indexes.
create table authors_without_books (
  author_id  uuid             not null,
  name_sort  text collate "C" not null,
  created_at timestamptz      not null
);

-- State that the projection needs in addition to the tables above.

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
