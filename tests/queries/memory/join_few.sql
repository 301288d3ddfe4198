-- Every visit joined with the codes of few visits: one side fits.
SELECT count(*) AS n, CAST(sum(v.amount * c.few) AS BIGINT) AS weight, max(v.note) AS last
FROM big.visits AS v
JOIN (SELECT code, count(*) AS few FROM big.visits WHERE amount = 0 GROUP BY code) AS c ON v.code = c.code
