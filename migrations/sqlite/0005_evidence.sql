-- What was seen of a failed restart or verify before its way back: written with the transition that tells of the failure.
CREATE TABLE run_evidence (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    step TEXT NOT NULL,
    seen TEXT NOT NULL,
    PRIMARY KEY (run, seq),
    FOREIGN KEY (run, seq) REFERENCES run_events (run, seq)
) STRICT;
