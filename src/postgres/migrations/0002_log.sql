-- Up Migration

-- The log's name, given once. Tables built from the log remember it, and positions carry a part of it.
create table event_store.log (
  id  uuid    not null,
  one boolean not null primary key default true check (one)
);
insert into event_store.log (id) values (gen_random_uuid());

-- Down Migration

drop table event_store.log;
