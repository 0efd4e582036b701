-- Where hosts are rows of a table of another program: the key of the row that this one was when it was last taken.
ALTER TABLE subscriptions ADD COLUMN row_id TEXT;
