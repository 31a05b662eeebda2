-- What every projection has beside its own tables.

create table checkpoint (
  projection text        not null,
  version    integer     not null,
  -- The log that the tables are made from; positions mean nothing in another.
  log_id     uuid        not null,
  -- Of the last event in the tables.
  position   bigint,
  -- How many events are in `parked`. Whoever changes one changes the other, and is noticed by it.
  parked     integer     not null default 0,
  updated_at timestamptz not null default now()
);

-- Events that could not be applied, and those that wait behind them in the same stream.
create table parked (
  position  bigint      not null,
  stream    text        not null,
  revision  bigint      not null,
  event_id  uuid        not null,
  type      text        not null,
  -- Why it could not be applied; null: it waits.
  error     text,
  parked_at timestamptz not null default now()
);
