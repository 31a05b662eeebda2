-- The tables that every projection has in addition to its own.

create table checkpoint (
  projection text        not null,
  version    integer     not null,
  -- The log that the tables are built from. Positions have no meaning in another log.
  log_id     uuid        not null,
  -- Id of the build that the rows come from. Whoever remembers anything about other rows forgets it.
  build      uuid        not null default gen_random_uuid(),
  -- Position of the last event in the tables.
  position   bigint,
  -- Id of that event, which tells whether the log still has the event.
  event_id   uuid,
  -- Number of events in `parked`, changed in the same transaction.
  parked     integer     not null default 0,
  updated_at timestamptz not null default now(),
  -- The columns and indexes that Colophon made, and for which version. Others in the tables are not Colophon's.
  made       jsonb
);

-- Events that could not be applied, and the events that wait behind them in the same stream.
create table parked (
  position  bigint      not null,
  stream    text        not null,
  revision  bigint      not null,
  event_id  uuid        not null,
  type      text        not null,
  -- Why the event could not be applied; null if the event waits behind another.
  error     text,
  parked_at timestamptz not null default now()
);
