-- Up Migration

-- What was decided under an `Idempotency-Key`: see idempotency-keys.ts.
create table commands.idempotency_keys (
  command_id uuid        not null primary key, -- derived from actor and key
  digest     text        not null,             -- of the command's meaning
  revision   bigint      not null,             -- that the decision was made at; -1: no stream
  answer     json,                             -- of a decision that writes nothing
  claimed_at timestamptz not null default now()
);
create index idempotency_keys_claimed_at on commands.idempotency_keys (claimed_at);

-- Down Migration

drop table commands.idempotency_keys;
