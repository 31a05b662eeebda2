-- Up Migration

-- The key that signs tokens of `colophon token`: one for all instances. Without the row, no such token is valid.
create table access.keys (
  single      boolean     not null primary key default true check (single),
  id          text        not null, -- `kid` of the tokens
  public_key  json        not null, -- JWK
  private_key json        not null, -- JWK
  created_at  timestamptz not null default now()
);

-- What was issued, without the tokens themselves.
create table access.tokens (
  id         uuid        not null primary key, -- `jti` of the token
  subject    text        not null,
  scopes     text[]      not null,
  issued_at  timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);
create index tokens_revoked on access.tokens (expires_at) where revoked_at is not null;

-- Down Migration

drop table access.tokens, access.keys;
