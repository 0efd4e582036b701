-- Runs of this name whose number is above this one are of this host; others are of one that was removed before.
ALTER TABLE subscriptions ADD COLUMN runs_after BIGINT NOT NULL DEFAULT 0;
