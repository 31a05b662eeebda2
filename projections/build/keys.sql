create index parked_by_stream on parked (stream, position);
create unique index checkpoint_pkey on checkpoint (projection);
create unique index parked_pkey on parked (position);
alter table checkpoint add primary key using index checkpoint_pkey;
alter table parked add primary key using index parked_pkey;
