-- Indexes that take longest to build come first. Primary keys are declared on existing indexes, which takes no time.

-- Search.
create index authors_by_words on authors using gin (words gin_trgm_ops);

-- Indexes for paging lists.
create index books_by_title on books (title_sort, id);
create index authors_by_name on authors (name_sort, id);
create index books_by_creation on books (created_at, id);
create index authors_by_creation on authors (created_at, id);

create index authors_without_books_by_name on authors_without_books (name_sort, author_id);
create index authors_without_books_by_creation on authors_without_books (created_at, author_id);

-- Books and authors by the key of their source.
create index books_by_source on books (source_key) where source_key is not null;
create index authors_by_source on authors (source_key) where source_key is not null;

-- Books and authors by role.
create index author_book_by_role on author_book using gin (roles);

create index author_book_by_book on author_book (book_id, position);
create index waiting_links_by_book on waiting_links (book_id);
create index author_redirects_by_into on author_redirects (into_id);
create index author_redirects_by_survivor on author_redirects (survivor_id);

create unique index author_book_pkey on author_book (author_id, book_id);
create unique index books_pkey on books (id);
create unique index book_words_pkey on book_words (book_id);
create unique index authors_pkey on authors (id);
create unique index authors_without_books_pkey on authors_without_books (author_id);
create unique index author_redirects_pkey on author_redirects (author_id);
create unique index waiting_links_pkey on waiting_links (author_id, book_id);
create unique index removed_pkey on removed (kind, id);

alter table author_book add primary key using index author_book_pkey;
alter table books add primary key using index books_pkey;
alter table book_words add primary key using index book_words_pkey;
alter table authors add primary key using index authors_pkey;
alter table authors_without_books add primary key using index authors_without_books_pkey;
alter table author_redirects add primary key using index author_redirects_pkey;
alter table waiting_links add primary key using index waiting_links_pkey;
alter table removed add primary key using index removed_pkey;
