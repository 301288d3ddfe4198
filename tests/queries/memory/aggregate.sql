-- As many groups as rows, regrouped.
SELECT count(*) AS notes, CAST(sum(n) AS BIGINT) AS visits, CAST(sum(total) AS BIGINT) AS amount, max(last) AS last
FROM (
    SELECT note, count(*) AS n, sum(amount) AS total, max(patient) AS last
    FROM big.visits
    GROUP BY note
) AS g
