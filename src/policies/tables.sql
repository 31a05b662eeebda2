-- What policies know and do. Can be dropped at any time: they begin again at the start of the log, and write nothing twice.
-- Created in the first schema of the search path.

-- One row.
create table if not exists checkpoint (
  log_id     uuid        not null,
  -- Position and id of the last event that was taken in.
  position   bigint,
  event_id   uuid,
  -- Head of the log when policies began. Only tasks look for links up to here: every task begins later, and finds them.
  links_from bigint      not null,
  updated_at timestamptz not null default now()
);

-- The authors who are removed with their books, or merged. A link to one of them came too late, and becomes a task.
create table if not exists gone (
  author_id uuid    primary key,
  -- Position of the event that removed or merged the author.
  cause     bigint  not null,
  merged    boolean not null,
  change    text    not null
);

-- What an event means for other streams.
create table if not exists tasks (
  -- Position of the event that the task carries out.
  cause    bigint      not null,
  -- Position of the event that made the task: the same, or that of a link that came too late.
  position bigint      not null,
  -- The only stream to look at; empty for all.
  stream   text        not null,
  -- Type of the event at `cause`, and its change.
  what     text        not null,
  change   text        not null,
  -- How far the task got: its part, and the place in that part.
  part     smallint    not null default 0,
  cursor   bigint,
  -- Number of streams that were changed.
  changed  bigint      not null default 0,
  begun_at timestamptz not null default now(),
  done_at  timestamptz,
  primary key (cause, position, stream)
);
create index if not exists open_tasks on tasks (position) where done_at is null;

-- Streams for which a task failed.
create table if not exists parked (
  stream    text        not null,
  cause     bigint      not null,
  what      text        not null,
  change    text        not null,
  error     text        not null,
  parked_at timestamptz not null default now(),
  primary key (stream, cause)
);
create index if not exists parked_by_change on parked (hashtextextended(change, 0));

-- What a revert left as it was.
create table if not exists left_alone (
  cause  bigint not null,
  stream text   not null,
  -- What the reverted change did, such as `name`; and why that stays.
  fact   text   not null,
  why    text   not null,
  -- Position of the event that changed the fact since, if one did.
  since  bigint,
  -- Id of the revert.
  change text   not null,
  primary key (cause, stream, fact)
);
create index if not exists left_alone_by_change on left_alone (hashtextextended(change, 0));
