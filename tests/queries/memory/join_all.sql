-- Every visit joined with itself by a long text: both sides are larger than any pool.
SELECT count(*) AS n, CAST(sum(v.amount + w.amount) AS BIGINT) AS amount
FROM big.visits AS v
JOIN big.visits AS w ON v.note = w.note AND v.patient = w.patient
