-- Each index gives the positions of one value in order. A digest has 8 bytes, the name of a stream has 43. And other
-- programs may have written texts that are too long for an index.
create index events_by_stream on events (hashtextextended(stream, 0), position);
create index events_by_change on events (hashtextextended(change, 0), position);
create index events_by_actor on events (hashtextextended(actor, 0), position);
create index events_by_type on events (hashtextextended(type, 0), position);

create unique index events_pkey on events (position);
create unique index concerned_pkey on concerned (id, position);
create unique index times_pkey on times (block);

alter table events add primary key using index events_pkey;
alter table concerned add primary key using index concerned_pkey;
alter table times add primary key using index times_pkey;
