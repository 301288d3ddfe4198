-- Every visit joined with the first day of its patient.
SELECT count(*) AS n, CAST(sum(v.amount) AS BIGINT) AS amount, max(v.note) AS last
FROM big.visits AS v
JOIN (SELECT patient, min(day) AS first FROM big.visits GROUP BY patient) AS f ON v.patient = f.patient
WHERE v.day > f.first
