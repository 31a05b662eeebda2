alter table author_book
  add foreign key (author_id) references authors (id),
  add foreign key (book_id) references books (id);
