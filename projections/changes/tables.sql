-- Every event of the log, without its data: what the audit feed is filtered by. Can be rebuilt from the log at any time.
-- Created in the first schema of the search path.

create table events (
  position    bigint      not null,
  stream      text        not null,
  revision    bigint      not null,
  type        text        not null,
  actor       text,
  -- The change that the event belongs to, and the cause of the event: see docs/architecture.md.
  change      text,
  cause       text,
  recorded_at timestamptz not null,
  -- The authors that the event concerns. The removal of a book concerns the authors that the book had.
  authors     uuid[]      not null,
  book        uuid
);

-- Authors and books that an event of another stream concerns. An index of the arrays would not give positions in order.
create table concerned (
  id       uuid   not null,
  position bigint not null
);

-- First and last time in each block of 65,536 positions. Times don't rise with positions if a clock was wrong.
create table times (
  block    bigint      not null,
  earliest timestamptz not null,
  latest   timestamptz not null
);
