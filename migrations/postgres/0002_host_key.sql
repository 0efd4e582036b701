-- The one key that a host may show, as `ALGORITHM BASE64`; NULL leaves it to known_hosts.
ALTER TABLE subscriptions ADD COLUMN host_key TEXT;
