-- Up Migration

-- The log's id, assigned once. Tables built from the log store the id, and position tokens contain a part of the id.
create table event_store.log (
  id  uuid    not null,
  one boolean not null primary key default true check (one)
);
insert into event_store.log (id) values (gen_random_uuid());

-- Down Migration

drop table event_store.log;
