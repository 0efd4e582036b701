-- What was seen of a failed restart or verify before its way back: written with the transition that tells of the failure.
CREATE TABLE run_evidence (
    run TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    step TEXT NOT NULL,
    seen TEXT NOT NULL,
    PRIMARY KEY (run, seq),
    FOREIGN KEY (run, seq) REFERENCES run_events (run, seq)
);
